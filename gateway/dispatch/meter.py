"""What the gateway must know of a stream that it otherwise forwards as bytes."""

from typing import Final

import msgspec

from gateway.providers.base import Block
from gateway.wire.completion import Usage
from gateway.wire.sse import DONE, event, payloads


class _UsageEvent(msgspec.Struct):
    choices: list[msgspec.Raw] = []
    usage: Usage | None = None


_DECODER: Final = msgspec.json.Decoder(_UsageEvent)
_MARK: Final = b'"prompt_tokens"'


class StreamMeter:
    """Finds the usage in a stream's blocks, and hides its event from a caller who did not ask for it."""

    __slots__ = ("_show_usage", "usage")

    def __init__(self, *, show_usage: bool) -> None:
        self._show_usage = show_usage
        self.usage: Usage | None = None

    def take(self, block: Block) -> Block:
        """Read one block and return what the caller gets of it, which may be empty."""
        if _MARK not in block:
            return block
        kept = []
        for payload in payloads(block):
            chunk = _read(payload)
            if chunk is not None and chunk.usage is not None:
                self.usage = chunk.usage
                if not chunk.choices and not self._show_usage:
                    continue
            kept.append(event(payload))
        if self._show_usage:
            return block
        return b"".join(kept) + (DONE if block.endswith(DONE) else b"")


def _read(payload: bytes) -> _UsageEvent | None:
    try:
        return _DECODER.decode(payload)
    except msgspec.DecodeError:
        return None

"""What the gateway must know of a stream that it otherwise forwards as bytes."""

from typing import Final

import msgspec

from gateway.dispatch.generated import generated_in_stream
from gateway.providers.base import Block
from gateway.wire.completion import Usage


class _UsageEvent(msgspec.Struct):
    choices: list[msgspec.Raw] = []
    usage: Usage | None = None


_DECODER: Final = msgspec.json.Decoder(_UsageEvent)
_MARK: Final = b'"prompt_tokens"'
_END: Final = b"\n\n"


class StreamMeter:
    """Finds the usage in a stream's blocks, and hides its event from a caller who did not ask for it."""

    __slots__ = ("_blocks", "_show_usage", "usage")

    def __init__(self, *, show_usage: bool) -> None:
        self._show_usage = show_usage
        self._blocks: list[Block] = []  # read only if the stream ends without its usage
        self.usage: Usage | None = None

    def generated(self) -> int:
        """Return how many tokens came so far."""
        return generated_in_stream(self._blocks)

    def take(self, block: Block) -> Block:
        """Read one block and return what the caller gets of it, which may be empty.

        Only the block's last event with usage is parsed: where a vendor counts along the way, the last count holds.
        """
        self._blocks.append(block)
        mark = block.rfind(_MARK)
        if mark < 0:
            return block
        before = block.rfind(_END, 0, mark)
        start = before + len(_END) if before >= 0 else 0
        end = block.index(_END, mark) + len(_END)
        chunk = _read(block[start:end])
        if chunk is None or chunk.usage is None:
            return block
        self.usage = chunk.usage
        if chunk.choices or self._show_usage:
            return block
        return block[:start] + block[end:]


def _read(sse_event: bytes) -> _UsageEvent | None:
    try:
        return _DECODER.decode(sse_event.removeprefix(b"data: "))
    except msgspec.DecodeError:
        return None

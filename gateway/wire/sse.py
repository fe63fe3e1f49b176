r"""Server-sent events as OpenAI uses them: `data: {json}\n\n`, the last one `data: [DONE]\n\n`.

Source: the HTML standard, section "Server-sent events", for framing; OpenAI's streaming reference for `[DONE]`.
"""

from collections.abc import Iterator
from typing import Final

DONE: Final = b"data: [DONE]\n\n"
_END: Final = b"\n\n"


def event(payload: bytes) -> bytes:
    """Frame one JSON object."""
    return b"data: " + payload + _END


def payloads(block: bytes) -> Iterator[bytes]:
    """Yield the JSON of each event of a block, without `[DONE]`."""
    for line in block.split(b"\n"):
        if line.startswith(b"data: ") and line != b"data: [DONE]":
            yield line[6:]


class EventSplitter:
    """Cuts a byte stream into blocks of whole events.

    An event never leaves in two pieces, so that an answer which breaks off can be ended with an error event. Comments
    and the fields `id`, `event` and `retry` are dropped: OpenAI's SDKs fail on them.
    """

    __slots__ = ("_after_cr", "_tail")

    def __init__(self) -> None:
        self._tail = b""
        self._after_cr = False

    def feed(self, data: bytes) -> bytes:
        """Return the events that `data` completes, as one block; empty when it completes none."""
        if self._after_cr:  # that CR ended a line already, alone or with this LF
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._tail:
            data, self._tail = self._tail + data, b""
        if not data.endswith(_END):
            cut = data.rfind(_END) + len(_END)
            if cut < len(_END):
                self._tail = data
                return b""
            data, self._tail = data[:cut], data[cut:]
        return data if _is_clean(data) else _cleaned(data)


def _is_clean(block: bytes) -> bool:
    return block.startswith(b"data: ") and block.count(b"\n") == 2 * block.count(b"\n\ndata: ") + 2


def _cleaned(block: bytes) -> bytes:
    events = []
    for text in block.split(_END):
        lines = [line[5:].removeprefix(b" ") for line in text.split(b"\n") if line.startswith(b"data:")]
        if lines and (payload := b"\n".join(lines)):
            events.append(event(payload.replace(b"\n", b" ")))
    return b"".join(events)

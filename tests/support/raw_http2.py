"""HTTP/2 frame by frame, for what no well-behaved client would send."""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0, length: int | None = None) -> bytes:
    """Return one frame; `length` is the length that it claims, if not its own."""
    claimed = len(payload) if length is None else length
    return claimed.to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def grpc_headers(path: str, more: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """Return the header block of a gRPC call: HPACK literals without indexing, so that no state is needed."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        **more,
    }
    return b"".join(
        b"\x00" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
        for name, value in headers.items()
    )


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, int, bytes]]:
    """Yield kind, flags and payload of each frame until the peer hangs up."""
    try:
        while True:
            head = await reader.readexactly(9)
            yield head[3], head[4], await reader.readexactly(int.from_bytes(head[:3], "big"))
    except (asyncio.IncompleteReadError, ConnectionError):
        return

"""How a stream reaches a JSON caller: as SSE, as NDJSON or as bare text."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Final

import msgspec
from google.api.httpbody_pb2 import HttpBody

from gateway.errors import GatewayError, InternalError, ProviderError
from gateway.interceptors.last import Last
from gateway.providers.base import Block
from gateway.services.request_options import StreamMode
from gateway.wire.completion import Chunk
from gateway.wire.errors import error_body
from gateway.wire.sse import DONE, event, payloads


async def framed(blocks: AsyncGenerator[Block], mode: StreamMode) -> AsyncGenerator[HttpBody | Last]:
    """Yield the stream as HTTP body pieces, the last of which may be empty.

    Any error after the first piece becomes a last piece, in the mode's own form and without `[DONE]`, and is raised
    then, so that the RPC's status tells it too.
    """
    content_type: str | None
    content_type, frame, frame_error = _MODES[mode]
    try:
        async with contextlib.aclosing(blocks):
            async for block in blocks:
                data = frame(block)
                if block.endswith(DONE):
                    yield Last(HttpBody(content_type=content_type, data=data))
                elif data:
                    yield HttpBody(content_type=content_type, data=data)
                    content_type = None  # Envoy reads it from the first piece only
    except Exception as exc:
        if content_type is None:
            yield HttpBody(data=frame_error(exc if isinstance(exc, GatewayError) else InternalError()))
        raise


def _sse(block: Block) -> bytes:
    return block


def _sse_error(error: GatewayError) -> bytes:
    return event(error_body(error))


def _ndjson(block: Block) -> bytes:
    return b"".join(payload + b"\n" for payload in payloads(block))


def _ndjson_error(error: GatewayError) -> bytes:
    return error_body(error) + b"\n"


def _text(block: Block) -> bytes:
    try:
        chunks = [_CHUNK.decode(payload) for payload in payloads(block)]
    except (ValueError, RecursionError):
        raise ProviderError("The provider's stream broke OpenAI's wire format.") from None
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices).encode()


def _text_error(error: GatewayError) -> bytes:
    return f"\n[error: {error.message}]\n".encode()


_CHUNK: Final = msgspec.json.Decoder(Chunk)
_MODES: Final[dict[StreamMode, tuple[str, Callable[[Block], bytes], Callable[[GatewayError], bytes]]]] = {
    "sse": ("text/event-stream", _sse, _sse_error),
    "ndjson": ("application/json", _ndjson, _ndjson_error),
    "text": ("text/plain; charset=utf-8", _text, _text_error),
}

"""The HTTP border to vendors: one shared transport, and their failures as rows of the error table."""

import asyncio
import contextlib
import email.utils
import io
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from gateway.config import Secret
from gateway.errors import (
    ContextLengthExceeded,
    GatewayError,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
)

MAX_ERROR_BYTES: Final = 64 * 1024
"""How much of a vendor's error body is read."""
LARGE_BODY_BYTES: Final = 1024 * 1024
MAX_RETRY_AFTER_S: Final = 30 * 86400.0
"""The longest wait that is passed on: a month, the longest window that vendors count in."""

Failure = Callable[[str, int, Mapping[str, str], bytes], GatewayError]
"""Returns the row for a provider's answer that is not 200: its name, the status, the headers, the start of the body."""

JSON_HEADERS: Final = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
"""What every request to a vendor says of itself; answers are small, or come in pieces that compression would delay."""

_END_WAIT_S: Final = 0.02
"""The caller's last chunk waits for it, and vendors send the end with their own last chunk or right behind it."""


def open_session(connect_timeout: float, hooks: Sequence[aiohttp.TraceConfig] = ()) -> aiohttp.ClientSession:
    """Return the HTTP client that all providers of one worker share.

    It has no limit of connections, keeps them alive, stores no cookies and reads no proxy or netrc settings. Only
    connecting is timed here (seconds); the pipeline times the rest. `hooks` see every request.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
        auto_decompress=True,
        trust_env=False,
        read_bufsize=256 * 1024,
        trace_configs=list(hooks),
    )


def post(
    session: aiohttp.ClientSession,
    provider: str,
    url: URL,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Sequence[bytes] = (),
    failure: Failure | None = None,
) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """Send one POST and yield its 200 answer; leaving the block early closes the connection.

    `secrets` are taken out of what the vendor says when it fails. Raises the row of the error table for a failing
    connection and for every other status, for which a vendor with error bodies of its own kind says `failure` instead
    of `status_error`.
    """
    # aiohttp sends a file piece by piece, where a large text would hold up the event loop.
    data = io.BytesIO(body) if len(body) > LARGE_BODY_BYTES else body
    request = session.post(url, data=data, headers=headers, allow_redirects=False)
    return _answer(request, provider, secrets, failure or status_error)


def with_own(secrets: Sequence[bytes], own_key: Secret | None) -> Sequence[bytes]:
    """Return the secrets to keep out of errors, the caller's own key among them."""
    return secrets if own_key is None else [*secrets, own_key.reveal().encode()]


def get(
    session: aiohttp.ClientSession,
    provider: str,
    url: URL,
    headers: Mapping[str, str],
    *,
    secrets: Sequence[bytes] = (),
    failure: Failure | None = None,
) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """Send one GET, otherwise as `post`."""
    request = session.get(url, headers=headers, allow_redirects=False)
    return _answer(request, provider, secrets, failure or status_error)


@contextlib.asynccontextmanager
async def _answer(
    request: Awaitable[aiohttp.ClientResponse], provider: str, secrets: Sequence[bytes], failure: Failure
) -> AsyncIterator[aiohttp.ClientResponse]:
    response: aiohttp.ClientResponse | None = None
    try:
        response = await request
        if response.status != 200:
            said = without(secrets, await response.content.read(MAX_ERROR_BYTES))
            raise failure(provider, response.status, response.headers, said)
        yield response
    except (aiohttp.ServerTimeoutError, TimeoutError) as exc:
        raise ProviderTimeout(f"Connecting to provider '{provider}' took too long.") from exc
    except aiohttp.ClientConnectionError as exc:
        raise ProviderError(f"The connection to provider '{provider}' failed.") from exc
    except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as exc:
        raise ProviderError(f"Provider '{provider}' broke off its answer.") from exc
    finally:
        if response is not None:
            # Returns the connection to the pool when the answer was read to its end, closes it otherwise.
            if response.content.at_eof():
                response.release()
            else:
                response.close()


async def read_end(response: aiohttp.ClientResponse) -> None:
    """Read the end of a streamed answer after its last event, so that its connection can be used again.

    A vendor that breaks the connection now has nevertheless said everything.
    """
    if not response.content.at_eof():
        with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(_END_WAIT_S):
                await response.content.readany()


def without(secrets: Sequence[bytes], text: bytes) -> bytes:
    """Return `text` with every secret masked: some vendors quote the key they were sent."""
    for secret in secrets:
        text = text.replace(secret, b"***")
    return text


def status_error(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """Return the row for a vendor's answer with an HTTP status other than 200.

    The status decides before any text does: it is what the vendor really said. A 401 means that the gateway's own
    key was refused, which the caller cannot mend.
    """
    said = vendor_error(body)
    if status == 401:
        return ProviderError(
            f"Provider '{provider}' refused the gateway's credentials.", details={"credentials": "refused"}
        )
    if status == 429:
        return ProviderRateLimited(
            said.message or f"The rate limit of provider '{provider}' is reached.",
            type_=said.type,
            code=said.code,
            retry_after=retry_after(headers),
            vendor_text=said.message is not None,
        )
    if status == 503:
        return ProviderOverloaded(f"Provider '{provider}' is overloaded.", retry_after=retry_after(headers))
    if status in {408, 504}:
        return ProviderTimeout(f"Provider '{provider}' answered {status}: it timed out.")
    if status in ProviderRejected.STATUSES:
        if said.code == "context_length_exceeded":
            return ContextLengthExceeded(said.message, param=said.param, vendor_text=True)
        return ProviderRejected(
            said.message or f"Provider '{provider}' rejected the request with status {status}.",
            http_status=status,
            param=said.param,
            code=said.code,
            type_=said.type,
            vendor_text=said.message is not None,
        )
    return ProviderError(f"Provider '{provider}' failed with status {status}.", retry_after=retry_after(headers))


def stream_error(provider: str, payload: bytes) -> GatewayError:
    """Return the row for an error that a vendor sends inside a 200 answer, whole or as a stream's event."""
    said = vendor_error(payload)
    status = said.status
    if status is not None and status != 200:
        return status_error(provider, status, {}, payload)
    if said.code == "context_length_exceeded":
        return ContextLengthExceeded(said.message, param=said.param, vendor_text=True)
    if said.type in {"requests", "tokens"} or said.code == "rate_limit_exceeded":
        return ProviderRateLimited(said.message, type_=said.type, code=said.code, vendor_text=True)
    return ProviderError(f"Provider '{provider}' reported: {said.message or 'an error'}", vendor_text=True)


class VendorError(msgspec.Struct, frozen=True):
    """What an error body says, in any vendor's shape; a field that it does not say is None."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | None = None
    status: int | None = None


def vendor_error(body: bytes) -> VendorError:
    """Read `{"error": {...}}`, `{"error": "text"}`, a flat `{"message": ...}`, or a list of one of these.

    Anything else (HTML, an empty body) says nothing.
    """
    try:
        node: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return VendorError()
    if isinstance(node, list) and node:
        node = node[0]
    if not isinstance(node, dict):
        return VendorError()
    outer, inner = node, node.get("error", node)
    if isinstance(inner, str):
        return VendorError(message=inner)
    if not isinstance(inner, dict):
        return VendorError()
    status = outer.get("status_code", inner.get("code"))
    return VendorError(
        message=_text(inner.get("message")),
        type=_text(inner.get("type")),
        param=_text(inner.get("param")),
        code=_text(inner.get("code")),
        status=status if isinstance(status, int) and 400 <= status <= 599 else None,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait in seconds that `retry-after-ms` or `Retry-After` (seconds or an HTTP date) asks for."""
    with contextlib.suppress(KeyError, ValueError):
        return _wait(float(headers["retry-after-ms"]) / 1000)
    text = headers.get("retry-after")
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        return _wait(float(text))
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return _wait(email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None


def _wait(seconds: float) -> float | None:
    """Bound what a vendor asks for; `nan` and `inf` are numbers to `float` and no wait to anyone."""
    return min(max(0.0, seconds), MAX_RETRY_AFTER_S) if math.isfinite(seconds) else None

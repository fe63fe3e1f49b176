"""The HTTP border to vendors: one shared transport, and their failures as rows of the error table."""

import contextlib
import email.utils
import math
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

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
from gateway.http.answer import Answer, BrokenAnswer
from gateway.http.client import HttpClient

MAX_ERROR_BYTES: Final = 64 * 1024
"""How much of a vendor's error body is read."""
MAX_RETRY_AFTER_S: Final = 30 * 86400.0
"""The longest wait that is passed on: a month, the longest window that vendors count in."""

Failure = Callable[[str, int, Mapping[str, str], bytes], GatewayError]
"""Returns the row for a provider's answer that is not 200: its name, the status, the headers, the start of the body."""

JSON_HEADERS: Final = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
"""What every request to a vendor says of itself; answers are small, or come in pieces that compression would delay."""


class Exchange:
    """One request to a vendor: `async with` sends it, yields its 200 answer, and gives the connection up at the end.

    Raises the row of the error table for a connection that fails, inside the block too, and for every other status.
    A block that is left before the answer's end closes the connection, unless the answer's `finish` was called.
    """

    __slots__ = (
        "_answer", "_body", "_client", "_failure", "_headers", "_method", "_provider", "_secrets", "_url"
    )  # fmt: skip

    def __init__(
        self,
        client: HttpClient,
        provider: str,
        *,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes,
        secrets: Sequence[bytes],
        failure: Failure,
    ) -> None:
        self._client = client
        self._provider = provider
        self._method = method
        self._url = url
        self._headers = headers
        self._body = body
        self._secrets = secrets
        self._failure = failure
        self._answer: Answer | None = None

    async def __aenter__(self) -> Answer:
        try:
            answer = self._answer = await self._client.send(self._method, self._url, self._headers, self._body)
            if answer.status == 200:
                return answer
            said = without(self._secrets, await answer.read(MAX_ERROR_BYTES))
        except (OSError, BrokenAnswer) as exc:
            self._release()
            raise self._row(exc) from exc
        except BaseException:
            self._release()
            raise
        self._release()
        raise self._failure(self._provider, answer.status, answer.headers, said)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()
        if isinstance(error, OSError | BrokenAnswer):
            raise self._row(error) from error

    def _release(self) -> None:
        if self._answer is not None:
            self._answer.release()

    def _row(self, exc: Exception) -> GatewayError:
        if isinstance(exc, TimeoutError):
            return ProviderTimeout(f"Connecting to provider '{self._provider}' took too long.")
        if isinstance(exc, BrokenAnswer):
            return ProviderError(f"Provider '{self._provider}' broke off its answer.")
        return ProviderError(f"The connection to provider '{self._provider}' failed.")


def post(
    client: HttpClient,
    provider: str,
    url: URL,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Sequence[bytes] = (),
    failure: Failure | None = None,
) -> Exchange:
    """Return one POST to be sent.

    `secrets` are taken out of what the vendor says when it fails. A vendor with error bodies of its own kind says
    `failure` instead of `status_error`.
    """
    return Exchange(
        client,
        provider,
        method="POST",
        url=url,
        headers=headers,
        body=body,
        secrets=secrets,
        failure=failure or status_error,
    )


def get(
    client: HttpClient,
    provider: str,
    url: URL,
    headers: Mapping[str, str],
    *,
    secrets: Sequence[bytes] = (),
    failure: Failure | None = None,
) -> Exchange:
    """Return one GET, otherwise as `post`."""
    return Exchange(
        client,
        provider,
        method="GET",
        url=url,
        headers=headers,
        body=b"",
        secrets=secrets,
        failure=failure or status_error,
    )


def with_own(secrets: Sequence[bytes], own_key: Secret | None) -> Sequence[bytes]:
    """Return the secrets to keep out of errors, the caller's own key among them."""
    return secrets if own_key is None else [*secrets, own_key.reveal().encode()]


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

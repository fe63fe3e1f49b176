"""What callers say about a request outside its body."""

import re
from typing import Any, Final, Literal, cast, get_args

from gateway.config import Secret
from gateway.errors import InvalidRequest
from gateway.interceptors.base import Rpc, current_rpc

StreamMode = Literal["sse", "ndjson", "text"]

_SHAVED_S: Final = 0.02
"""Kept from a gRPC caller's own deadline, so that our answer about it arrives before it passes."""
_LEAST_S: Final = 0.001
_GRPC_TIMEOUT: Final = re.compile("([0-9]{1,8})([HMSmun])")
_UNIT_S: Final = {"H": 3600, "M": 60, "S": 1, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def caller() -> dict[str, Any]:
    """Return the fields of an `Ask` that the running RPC tells. Raises InvalidRequest as `caller_timeout` does."""
    rpc = current_rpc()
    provider_key = rpc.metadata.get("x-provider-api-key", "").strip()
    return {
        "caller": rpc.caller,
        "provider_key": Secret(provider_key) if provider_key else None,
        "request_id": rpc.request_id,
        "started": rpc.started,
        "timeout": caller_timeout(rpc),
        "record": rpc.record,
    }


def caller_timeout(rpc: Rpc) -> float | None:
    """Return how many seconds the caller gives, from the RPC's start: the least of the RPC's deadline, `grpc-timeout`
    of an HTTP request and `x-request-timeout-ms`; None without any.

    Envoy gives an HTTP caller's `grpc-timeout` another name: gRPC would end such a call itself, wherever its answer is.
    Raises InvalidRequest, which names the caller's header, for one that cannot be read.
    """
    limits = []
    remaining = rpc.context.time_remaining()
    if remaining is not None:
        limits.append(remaining - _SHAVED_S)
    sent = rpc.metadata.get("x-grpc-timeout")
    if sent is not None:
        limits.append(_grpc_seconds(sent))
    sent = rpc.metadata.get("x-request-timeout-ms")
    if sent is not None:
        limits.append(_milliseconds(sent))
    return max(min(limits), _LEAST_S) if limits else None


def _grpc_seconds(text: str) -> float:
    read = _GRPC_TIMEOUT.fullmatch(text)
    if read is None:
        raise InvalidRequest(
            "The header grpc-timeout must be a whole number of at most eight digits and a unit: H, M, S, m, u or n.",
            param="grpc-timeout",
        )
    return int(read[1]) * _UNIT_S[read[2]]


def _milliseconds(text: str) -> float:
    if not text.isascii() or not text.isdigit() or not int(text[:12]) > 0:
        raise InvalidRequest(
            "The header x-request-timeout-ms must be a positive whole number of milliseconds.",
            param="x-request-timeout-ms",
        )
    return int(text[:12]) / 1000


def stream_mode(rpc: Rpc, query: str, *, body_streams: bool) -> StreamMode | None:
    """Return how the answer is framed: by the query, else the header `x-stream-mode`, else `sse` if the body asks for
    a stream; None means one JSON answer. Raises InvalidRequest for an unknown mode.
    """
    asked = query or rpc.metadata.get("x-stream-mode", "")
    if not asked:
        return "sse" if body_streams else None
    if asked not in get_args(StreamMode):
        raise InvalidRequest(
            f"Invalid value for 'stream_mode': '{asked[:64]}' is not one of {', '.join(get_args(StreamMode))}.",
            param="stream_mode",
        )
    return cast("StreamMode", asked)

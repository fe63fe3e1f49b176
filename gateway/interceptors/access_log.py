"""One log line a request."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog

from gateway.errors import GatewayError
from gateway.interceptors.base import Proceed, Rpc

_log = structlog.get_logger("gateway.access")
_QUIET: Final = ("/grpc.", "/llmgateway.v1.SystemService/")


class AccessLogInterceptor:
    """Logs what each RPC asked and what became of it; probes are logged at debug level."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    async def intercept(self, rpc: Rpc, proceed: Proceed) -> Any:
        try:
            result = await proceed()
        except asyncio.CancelledError:
            self._line(rpc, "CANCELLED", 499)
            raise
        except GatewayError as exc:
            self._line(rpc, exc.reason.value, exc.http_status, **({} if exc.vendor_text else {"message": exc.message}))
            raise
        except BaseException:
            self._line(rpc, "INTERNAL", 500)
            raise
        self._line(rpc, "OK", 200)
        return result

    def _line(self, rpc: Rpc, reason: str, http_status: int, **more: str) -> None:
        record = rpc.record
        usage = record.usage
        write = _log.debug if rpc.method.startswith(_QUIET) else _log.info
        write(
            "request",
            request_id=rpc.request_id,
            trace_id=rpc.trace_id,
            key_id=rpc.caller.key_id,
            rpc=rpc.method,
            edge="http" if rpc.from_http else "grpc",
            status=reason,
            http_status=http_status,
            provider=record.provider,
            model=record.model,
            attempts=record.attempts,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            first_token_ms=round(record.first_token_s * 1000, 1) if record.first_token_s is not None else None,
            total_ms=round((self._clock() - rpc.started) * 1000, 1),
            **more,
        )

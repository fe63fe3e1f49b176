"""One line a call."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from msgspec import UNSET, UnsetType

from gateway.errors import GatewayError
from gateway.interceptors.base import Proceed, Rpc
from gateway.interceptors.route import route
from gateway.telemetry.access_line import AccessLine
from gateway.telemetry.logs import LineWriter
from gateway.telemetry.prompts import PromptKeeper
from gateway.telemetry.record import shown_name
from gateway.telemetry.usage import cached_tokens, reasoning_tokens

_log = structlog.get_logger("gateway.access")
_QUIET: Final = ("/grpc.", "/llmgateway.v1.SystemService/")


class AccessLogInterceptor:
    """Logs what each RPC asked and what became of it; probes are logged at debug level.

    The lines go to `lines`, without it to the loggers. With `prompts` a line also has the request's body.
    """

    def __init__(self, clock: Callable[[], float], *, lines: LineWriter | None = None, prompts: bool = False) -> None:
        self._clock = clock
        self._lines = lines
        self._prompts = prompts

    async def intercept(self, rpc: Rpc, proceed: Proceed) -> Any:
        asked = PromptKeeper.of(rpc.record) if self._prompts else None
        try:
            result = await proceed()
        except asyncio.CancelledError:
            self._log(rpc, asked, "CANCELLED", 499)
            raise
        except GatewayError as exc:
            self._log(rpc, asked, exc.reason.value, exc.http_status, UNSET if exc.vendor_text else exc.message)
            raise
        except BaseException:
            self._log(rpc, asked, "INTERNAL", 500)
            raise
        self._log(rpc, asked, "OK", 200)
        return result

    def _log(
        self, rpc: Rpc, asked: PromptKeeper | None, reason: str, status: int, message: str | UnsetType = UNSET
    ) -> None:
        line = self._line(rpc, reason, status)
        line.message = message
        if asked is not None and asked.text is not None:
            line.request_body = asked.text
        if rpc.method.startswith(_QUIET):
            _log.debug("request", **line.fields())
        elif self._lines is not None:
            self._lines.info(line.encoded())
        else:
            _log.info("request", **line.fields())

    def _line(self, rpc: Rpc, reason: str, http_status: int) -> AccessLine:
        record = rpc.record
        usage = record.usage
        return AccessLine(
            request_id=rpc.request_id,
            trace_id=rpc.trace_id,
            key_id=rpc.caller.key_id,
            project_id=rpc.caller.project_id,
            route=route(rpc),
            rpc=rpc.method,
            edge="http" if rpc.from_http else "grpc",
            status=reason,
            http_status=http_status,
            provider=record.provider,
            model=shown_name(record.model) if record.model is not None else None,
            attempts=record.attempts,
            prompt_tokens=usage.prompt_tokens if usage else None,
            cached_tokens=cached_tokens(usage) if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            reasoning_tokens=reasoning_tokens(usage) if usage else None,
            cost_nano_usd=record.cost_nano,
            first_token_ms=round(record.first_token_s * 1000, 1) if record.first_token_s is not None else None,
            total_ms=round((self._clock() - rpc.started) * 1000, 1),
        )

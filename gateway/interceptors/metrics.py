"""Counts every RPC."""

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.errors import GatewayError, Reason
from gateway.interceptors.base import Proceed, Rpc
from gateway.telemetry.metrics import Metrics


class MetricsInterceptor:
    """Feeds `Metrics` with each RPC's outcome and duration."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._clock = clock

    async def intercept(self, rpc: Rpc, proceed: Proceed) -> Any:
        reason = "OK"
        self._metrics.in_flight += 1
        try:
            return await proceed()
        except asyncio.CancelledError:
            reason = "CANCELLED"
            raise
        except GatewayError as exc:
            reason = exc.reason.value
            self._metrics.refused(exc)
            raise
        except BaseException:
            reason = Reason.INTERNAL.value
            raise
        finally:
            self._metrics.in_flight -= 1
            self._metrics.observe(rpc.method, reason, self._clock() - rpc.started, rpc.record)

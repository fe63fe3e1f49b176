"""Which calls are in hand, so that a shutdown or a reload can wait for them."""

from typing import Any, Final

from gateway.interceptors.base import Proceed, Rpc
from gateway.lifecycle import Lifecycle

LOOKS_ON: Final = ("/grpc.", "/llmgateway.v1.SystemService/")
"""Health, reflection and probes: some of them run for ever."""


class InFlightInterceptor:
    """Enters each RPC in the life cycle."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    async def intercept(self, rpc: Rpc, proceed: Proceed) -> Any:
        enter = self._lifecycle.watch if rpc.method.startswith(LOOKS_ON) else self._lifecycle.call
        with enter():
            return await proceed()

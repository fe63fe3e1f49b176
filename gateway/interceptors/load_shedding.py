"""Turns calls away while too many are in hand, so that those in hand do not suffer."""

from typing import Any, Final

from gateway.errors import Overloaded
from gateway.interceptors.base import Proceed, Rpc
from gateway.interceptors.in_flight import LOOKS_ON
from gateway.lifecycle import Lifecycle

_RETRY_AFTER_S: Final = 1.0


class LoadSheddingInterceptor:
    """Raises Overloaded, before the call's body is read, when `limit` calls of this worker are in hand.

    Probes pass: whoever asks how the gateway is wants an answer above all then.
    """

    def __init__(self, lifecycle: Lifecycle, limit: int) -> None:
        self._lifecycle = lifecycle
        self._limit = limit

    async def intercept(self, rpc: Rpc, proceed: Proceed) -> Any:
        if self._lifecycle.in_hand >= self._limit and not rpc.method.startswith(LOOKS_ON):
            raise Overloaded(retry_after=_RETRY_AFTER_S)
        return await proceed()

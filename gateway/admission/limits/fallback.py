"""What happens when the shared store of the limits is away: the mode `fail_open_local`."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from gateway.admission.limits.memory import MemoryLimiter
from gateway.admission.limits.model import NOTHING, Charge, Grant, Limiter, LimitRule, Standing
from gateway.errors import Overloaded
from gateway.telemetry.logs import of_request

STAY_LOCAL_S: Final = 1.0
"""How long to go on without the store before it is asked again, so that calls do not wait for it one by one."""

_log = structlog.get_logger("gateway.limits")


class LocalFallbackLimiter:
    """Asks the shared limiter, and counts in this process while that is away.

    Calls are then answered instead of refused, and each process lets the whole amount of every rule through again: a
    limit can be passed by as many times as there are processes. `monotonic` is in seconds.
    """

    def __init__(self, shared: Limiter, local: MemoryLimiter, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._local = local
        self._monotonic = monotonic
        self._local_until = float("-inf")

    async def reserve(self, rules: Sequence[LimitRule], charge: Charge, lease_s: float) -> Grant:
        """See `Limiter`. Does not raise Overloaded."""
        if self._monotonic() >= self._local_until:
            try:
                return await self._shared.reserve(rules, charge, lease_s)
            except Overloaded:
                self._go_local()
        grant = await self._local.reserve(rules, charge, lease_s)
        grant.local = True
        return grant

    def settle(self, grant: Grant, actual: Charge) -> Awaitable[None]:
        """See `Limiter`."""
        return (self._local if grant.local else self._shared).settle(grant, actual)

    def release(self, grant: Grant) -> Awaitable[None]:
        """See `Limiter`."""
        return self.settle(grant, NOTHING)

    async def standing(self, rules: Sequence[LimitRule]) -> list[Standing]:
        """See `Limiter`. Does not raise Overloaded."""
        if self._monotonic() >= self._local_until:
            try:
                return await self._shared.standing(rules)
            except Overloaded:
                self._go_local()
        return await self._local.standing(rules)

    def _go_local(self) -> None:
        self._local_until = self._monotonic() + STAY_LOCAL_S
        _log.warning("the shared limits are away: each process counts alone", for_s=STAY_LOCAL_S, **of_request())

"""Asks each provider in the background, from time to time, whether it works."""

import asyncio
import contextvars
import random
import time
from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec
import structlog

from gateway.config import HealthSettings, ProviderSettings
from gateway.errors import PROVIDER_FAILURES, GatewayError, Reason
from gateway.health.history import CheckHistory
from gateway.providers.base import Provider
from gateway.storage.provider_health import ProviderCheck
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.outcomes import Counts, RecentOutcomes

_log = structlog.get_logger("gateway.health")
_AT_ONCE: Final = 8
"""How many providers are asked at one time."""
_JITTER: Final = 0.1

State = Literal["unknown", "up", "down"]


class ProviderHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one provider. Times are Unix milliseconds, None for never.

    `state` and `reason`, why it is down, are those of the last check. `checks` and `calls` went so lately.
    """

    provider: str
    state: State = "unknown"
    checked_at: int | None = None
    succeeded_at: int | None = None
    latency_ms: int | None = None
    reason: str = ""
    checks: Counts = Counts()
    calls: Counts = Counts()


class _Watched:
    """A provider that is checked, and what came of it."""

    def __init__(self, provider: Provider, settings: ProviderSettings) -> None:
        self.provider = provider
        self.settings = settings
        self.last = ProviderHealth(provider=provider.name)
        self.checks = RecentOutcomes()


class ProviderChecks:
    """Checks providers until closed.

    A provider that answers is up, whatever it says of the request. `clock` tells Unix milliseconds; `new_id` names a
    check's row, `owner` the process that made it.
    """

    def __init__(
        self,
        metrics: Metrics,
        history: CheckHistory,
        *,
        clock: Callable[[], int],
        new_id: Callable[[int], str],
        owner: str,
    ) -> None:
        self._metrics = metrics
        self._history = history
        self._clock = clock
        self._new_id = new_id
        self._owner = owner
        self._watched: dict[str, _Watched] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def follow(
        self, providers: Mapping[str, tuple[Provider, ProviderSettings]], settings: HealthSettings
    ) -> None:
        """Check these providers from now on, and no others. What is known of those with the same settings stays."""
        await self.aclose()
        before, self._watched = self._watched, {}
        self._history.keep_days = settings.history_days
        for name, (provider, provider_settings) in providers.items():
            watched = self._watched[name] = _Watched(provider, provider_settings)
            if name in before and before[name].settings == provider_settings:
                watched.last, watched.checks = before[name].last, before[name].checks
        if settings.check_interval_s:
            self._tasks = [
                # An empty context: a check belongs to no call, also if one brought the new settings.
                asyncio.create_task(self._check_forever(watched, settings), context=contextvars.Context())
                for watched in self._watched.values()
            ]

    def health(self) -> list[ProviderHealth]:
        """Return what is known now, in the order of the configuration. Asks nobody."""
        return [
            msgspec.structs.replace(
                watched.last, checks=watched.checks.counts(), calls=self._metrics.outcomes.counts(name)
            )
            for name, watched in self._watched.items()
        ]

    async def aclose(self) -> None:
        """End the checks."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _check_forever(self, watched: _Watched, settings: HealthSettings) -> None:
        while True:
            async with self._turns:
                await self._check(watched, settings.check_timeout_s)
            await asyncio.sleep(settings.check_interval_s * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311  # no secret

    async def _check(self, watched: _Watched, timeout_s: float) -> None:
        at, began = self._clock(), time.monotonic()
        reason = await _failure(watched, timeout_s)
        latency_ms = round((time.monotonic() - began) * 1000)
        name, before, up = watched.provider.name, watched.last, not reason
        watched.checks.add(failed=not up)
        watched.last = ProviderHealth(
            provider=name,
            state="up" if up else "down",
            checked_at=at,
            succeeded_at=at if up else before.succeeded_at,
            latency_ms=latency_ms,
            reason=reason,
        )
        self._metrics.provider_checked(name, up=up)
        calls = self._metrics.outcomes.counts(name)
        self._history.add(
            ProviderCheck(
                id=self._new_id(at),
                provider=name,
                checked_at=at,
                checked_by=self._owner,
                up=up,
                reason=reason,
                latency_ms=latency_ms,
                recent_calls=calls.total,
                recent_failed_calls=calls.failed,
            )
        )
        if watched.last.state != before.state:
            write = _log.info if up else _log.warning
            write(
                f"provider {watched.last.state}", provider=name, was=before.state, reason=reason, latency_ms=latency_ms
            )


async def _failure(watched: _Watched, timeout_s: float) -> str:
    """Return why the provider does not work; empty if it does."""
    try:
        async with asyncio.timeout(timeout_s):
            await watched.provider.check()
    except TimeoutError:
        return Reason.PROVIDER_TIMEOUT
    except GatewayError as error:
        ours_missing = watched.settings.key_source != "gateway" and not watched.settings.api_key
        if ours_missing and error.details.get("credentials") == "refused":
            return ""  # callers bring their own keys; it answered
        return error.reason if error.reason in PROVIDER_FAILURES else ""
    except Exception as exc:  # noqa: BLE001  # whatever it is, the checks go on
        _log.error(
            "check of provider broke", provider=watched.provider.name, error=type(exc).__name__
        )  # may quote a key
        return Reason.INTERNAL
    return ""

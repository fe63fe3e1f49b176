"""Retries and failover: the same for whole answers and for streams until their first block."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from gateway.admission.admission import Admission
from gateway.admission.permit import Permit
from gateway.config import TimeSettings
from gateway.dispatch.ask import Ask
from gateway.dispatch.catalog import Catalog, Target
from gateway.dispatch.time_limits import TimeLimits
from gateway.errors import AllProvidersFailed, DeadlineExceeded, Fault, GatewayError
from gateway.telemetry.record import CallRecord

T = TypeVar("T")
Attempt = Callable[[Target, Permit], Awaitable[T]]

_BASE_DELAY_S: Final = 0.25
_MAX_DELAY_S: Final = 8.0


class WholeAnswers:
    """Makes calls that have one answer: admits each, attempts it, and settles it."""

    def __init__(self, catalog: Catalog, times: TimeSettings, admission: Admission) -> None:
        self._catalog = catalog
        self._times = times
        self._admission = admission
        self._limits = TimeLimits()

    async def get(self, ask: Ask[Any], attempt: Attempt[T]) -> T:
        """Return the first answer that an attempt gives, as `first_success` does, all of it before the ask's deadline.

        Raises DeadlineExceeded when the deadline passes first.
        """
        deadline = ask.started + (ask.timeout or self._times.request_s)
        targets = ask.targets(self._catalog)
        ask.record.observer.asked(ask.body)
        permit, targets = self._admission.admit(ask.facts(deadline - time.monotonic()), targets)
        with permit:
            answer = first_success(
                permit, targets, attempt, max_retries=self._times.max_retries, deadline=deadline, record=ask.record
            )
            try:
                return await self._limits.until(deadline, answer)
            except TimeoutError:
                raise DeadlineExceeded from None


async def first_success(
    permit: Permit,
    targets: Sequence[Target],
    attempt: Attempt[T],
    *,
    max_retries: int,
    deadline: float,
    record: CallRecord,
) -> T:
    """Return the first answer that an attempt gives.

    A provider's retryable error is tried again at the same target up to `max_retries` times, after the provider's
    `Retry-After` or a growing pause with jitter, and then at the next target. An attempt is not started when its pause
    would end past `deadline` (`time.monotonic()`): the error is raised at once. Raises the last error; with several
    targets that all failed, AllProvidersFailed.
    """
    failures: list[GatewayError] = []
    texts: list[str] = []
    for target in targets:
        record.provider, record.model = target.provider.name, target.model
        try:
            return await _retried(permit, target, attempt, max_retries=max_retries, deadline=deadline, record=record)
        except GatewayError as error:
            if not _worth_another(error) or len(targets) == 1:
                raise
            failures.append(error)
            texts.append(f"{target.provider.name}: {error.message}")
    raise AllProvidersFailed(
        f"Every provider failed. {' '.join(texts)}",
        retry_after=failures[-1].retry_after,
        vendor_text=any(error.vendor_text for error in failures),
    ) from failures[-1]


async def _retried(
    permit: Permit,
    target: Target,
    attempt: Attempt[T],
    *,
    max_retries: int,
    deadline: float,
    record: CallRecord,
) -> T:
    await permit.use(target)
    retry = 0
    while True:
        record.attempts += 1
        record.observer.attempt_started(target.provider.name, target.model)
        began = time.monotonic()
        try:
            return await attempt(target, permit)
        except GatewayError as error:
            record.failures.append((target.provider.name, error))
            record.observer.attempt_failed(error)
            blamed = permit.blame(error)
            if blamed is not error:
                raise blamed from error
            pause = _pause(retry, error)
            late = time.monotonic() + pause >= deadline
            if not _worth_another(error) or retry >= max_retries or late:
                raise
            record.upstream_s += pause
        finally:
            record.upstream_s += time.monotonic() - began
        retry += 1
        await asyncio.sleep(pause)


def _worth_another(error: GatewayError) -> bool:
    """Tell whether another attempt may help: our own verdicts are for the caller to retry."""
    return error.retryable and error.fault is Fault.PROVIDER


def _pause(retry: int, error: GatewayError) -> float:
    if error.retry_after is not None:
        return error.retry_after
    ceiling = min(_MAX_DELAY_S, _BASE_DELAY_S * 2.0**retry)
    return ceiling * random.uniform(0.5, 1.0)  # noqa: S311  # jitter needs no secrecy

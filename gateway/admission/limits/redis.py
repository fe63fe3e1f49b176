"""The limiter of all processes that share a Redis: one script, one round trip a decision.

The counts live under one hash tag, so that a cluster keeps them in one slot. Redis must not evict them (`maxmemory-
policy noeviction`). They expire by themselves: a calendar window's one window after it ends, the others once empty.
The gateways' clocks decide which window a call falls into; a skew moves a call near a boundary to the other side of
it, and lets no more than the amount into any window.
"""

import asyncio
import hashlib
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from importlib.resources import files
from typing import Any, Final

import msgspec
import structlog
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from gateway.admission.limits.model import (
    DONE,
    NOTHING,
    Charge,
    Grant,
    History,
    LimitRule,
    Reading,
    Standing,
    standings,
)
from gateway.admission.limits.refusal import refusal
from gateway.admission.limits.windows import LENGTH_MS, SLICES, calendar, slice_of, tick_of, ticks
from gateway.config import Secret
from gateway.errors import Overloaded

RETRY_AFTER_S: Final = 1.0
_AT_ONCE: Final = 64
_WAIT_S: Final = 1.0
"""How long a decision waits until fewer than `_AT_ONCE` are under way."""
_OTHERS: Final = 8
"""Connections for whoever else asks Redis something."""
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[int])
_SCRIPT: Final = files("gateway.admission.limits").joinpath("limits.lua").read_text("utf-8")
_SHA: Final = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
_log = structlog.get_logger("gateway.limits")


def connect(url: Secret, timeout_s: float) -> Redis:
    """Return a client for `url` (`redis://`, `rediss://` or `unix://`), which the caller closes.

    A command is sent once: whether a lost answer means a lost decision cannot be known, so nothing is retried.
    """
    pool = ConnectionPool.from_url(
        url.reveal(),
        max_connections=_AT_ONCE + _OTHERS,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


class RedisLimiter:
    """Counts in Redis. `clock` gives Unix time in nanoseconds; `namespace` sets gateways on one Redis apart.

    When Redis is away, `reserve` and `standing` raise Overloaded, and a reservation that cannot be settled stays
    counted at its bound. When Redis comes back empty, the first caller fills it from `history`, in one atomic step,
    before anything is granted; without `history` it starts from zero.
    """

    def __init__(
        self,
        redis: Redis,
        clock: Callable[[], int] = time.time_ns,
        *,
        history: History | None = None,
        namespace: str = "llmgateway",
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._history = history
        self._prefix: Final = f"{{{namespace}}}:limits:"
        self._tasks: set[asyncio.Task[Any]] = set()
        self._places: Final = asyncio.Semaphore(_AT_ONCE)  # a pool that waits costs a fifth of a decision
        self._process: Final = secrets.token_hex(8)
        self._numbers = itertools.count()

    async def reserve(self, rules: Sequence[LimitRule], charge: Charge, lease_s: float) -> Grant:
        """See `Limiter`."""
        task = self._keep(self._reserve(tuple(rules), charge, lease_s))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._give_back)  # the decision is on its way and cannot be called back
            raise

    def settle(self, grant: Grant, actual: Charge) -> Awaitable[None]:
        """See `Limiter`."""
        if not grant.open:
            return DONE
        grant.open = False
        changed = [rule for rule in grant.rules if rule.window is None or _delta(rule, grant, actual)]
        return asyncio.shield(self._keep(self._settle(grant, changed, actual))) if changed else DONE

    def release(self, grant: Grant) -> Awaitable[None]:
        """See `Limiter`."""
        return self.settle(grant, NOTHING)

    async def standing(self, rules: Sequence[LimitRule]) -> list[Standing]:
        """See `Limiter`."""
        now = self._now()
        keys = [self._key(rule, now) for rule in rules]
        rows = [_row(rule, 0, now, now, 0) for rule in rules]
        return standings(rules, _readings(await self._decide("read", now, "", keys, rows)), now)

    async def aclose(self) -> None:
        """Wait for what is still being settled. The client stays open."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _reserve(self, rules: tuple[LimitRule, ...], charge: Charge, lease_s: float) -> Grant:
        now, grant = self._now(), f"{self._process}{next(self._numbers):x}"
        lease_end = now + int(lease_s * 1000)
        keys = [self._key(rule, now) for rule in rules]
        rows = [_row(rule, charge.of(rule.metric), now, now, lease_end) for rule in rules]
        answer = await self._decide("reserve", now, grant, keys, rows)
        readings = _readings(answer)
        if not answer[0]:
            raise refusal(rules, readings, charge, now)
        return Grant(grant, rules, charge, now, readings)

    async def _settle(self, grant: Grant, rules: Sequence[LimitRule], actual: Charge) -> None:
        now = self._now()
        keys = [self._key(rule, grant.at_ms) for rule in rules]
        rows = [_row(rule, _delta(rule, grant, actual), grant.at_ms, now, 0) for rule in rules]
        try:
            await self._run("settle", now, grant.id, keys, rows)
        except Overloaded:
            _log.warning("reservation stays counted at its bound: redis is away", grant=grant.id)

    async def _decide(self, mode: str, now: int, grant: str, keys: list[str], rows: list[tuple[Any, ...]]) -> list[int]:
        answer = await self._run(mode, now, grant, keys, rows)
        if answer[0] < 0:
            await self._restore()
            answer = await self._run(mode, now, grant, keys, rows)
        if answer[0] < 0:
            raise Overloaded("The store of the limits is being restored.", retry_after=RETRY_AFTER_S)
        return answer

    async def _restore(self) -> None:
        history = await self._history() if self._history else ()
        now = self._now()
        keys, rows = [], []
        for used in history:
            at = used.at_ns // 1_000_000
            for rule in used.rules:
                row = _row(rule, used.charge.of(rule.metric), at, at, 0)
                row = (*row[:-1], row[-1] - max(0, now - at))
                if rule.window is not None and row[-1] > 0:
                    keys.append(self._key(rule, at))
                    rows.append(row)
        if (await self._run("restore", now, "", keys, rows))[0]:
            _log.info("the counts of the limits are restored", uses=len(history))

    async def _run(self, mode: str, now: int, grant: str, keys: list[str], rows: list[tuple[Any, ...]]) -> list[int]:
        command = (len(keys) + 1, self._prefix + "whole", *keys, _ENCODER.encode((mode, now, grant, rows)))
        try:
            await self._place()
            try:
                return await self._evaluate(command)
            except NoScriptError:
                await self._redis.script_load(_SCRIPT)
                return await self._evaluate(command)
            finally:
                self._places.release()
        except (RedisError, OSError) as exc:
            raise Overloaded("The store of the limits does not answer.", retry_after=RETRY_AFTER_S) from exc

    async def _evaluate(self, command: tuple[Any, ...]) -> list[int]:
        answer: Any = self._redis.evalsha(_SHA, *command)
        return _DECODER.decode(await answer)

    async def _place(self) -> None:
        """Wait until fewer than `_AT_ONCE` decisions are under way. Raises TimeoutError."""
        if not self._places.locked():  # as ever, but in a burst
            await self._places.acquire()
            return
        async with asyncio.timeout(_WAIT_S):
            await self._places.acquire()

    def _key(self, rule: LimitRule, at_ms: int) -> str:
        name = f"{self._prefix}{rule.scope}:{rule.scope_id}:{rule.metric}:{rule.window or ''}:{rule.strategy}"
        if rule.window is None or rule.strategy != "fixed":
            return name
        return f"{name}:{calendar(rule.window, at_ms)[0]}"

    def _now(self) -> int:
        return self._clock() // 1_000_000

    def _keep(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _give_back(self, task: "asyncio.Task[Grant]") -> None:
        if not task.cancelled() and task.exception() is None:
            self.release(task.result())


def _delta(rule: LimitRule, grant: Grant, actual: Charge) -> int:
    return actual.of(rule.metric) - grant.charge.of(rule.metric)


def _row(rule: LimitRule, need: int, at: int, now: int, lease_end: int) -> tuple[Any, ...]:
    """Return the script's arguments for `rule`, counted at `at`."""
    if rule.window is None:
        return ("lease", rule.amount, need, 0, 0, lease_end, 0)
    length = LENGTH_MS[rule.window]
    if rule.strategy == "fixed":
        end = calendar(rule.window, at)[1]
        return ("fixed", rule.amount, need, end, 0, 0, end - at + length)
    if rule.strategy == "sliding":
        return ("sliding", rule.amount, need, slice_of(rule.window, at), SLICES, 0, 2 * length)
    return ("bucket", rule.amount, need, tick_of(rule.window, now), ticks(rule.window), 0, 2 * length)


def _readings(answer: list[int]) -> list[Reading]:
    return [Reading(used, mark) for used, mark in zip(answer[1::2], answer[2::2], strict=True)]

"""What only the limiter in Redis has: several processes, a store that goes away, keys that expire."""

import asyncio
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.admission.limits.fallback import STAY_LOCAL_S, LocalFallbackLimiter
from gateway.admission.limits.memory import MemoryLimiter
from gateway.admission.limits.model import Charge, LimitRule, Used
from gateway.admission.limits.redis import RedisLimiter, connect
from gateway.config import Secret
from gateway.errors import Overloaded, QuotaExceeded
from tests.admission.limits.conftest import Clock
from tests.support.limit_racer import BUDGET
from tests.support.redis import RedisServer

DAY = 86_400_000
RULES: list[LimitRule] = [
    LimitRule(scope="key", scope_id="k", metric=metric, window=window, strategy=strategy, amount=100)
    for metric in ("requests", "tokens")
    for window in ("minute", "day", "month")
    for strategy in ("fixed", "sliding", "token_bucket")
]
PLACES = LimitRule(scope="key", scope_id="k", metric="concurrent", amount=2)
TOKENS = LimitRule(scope="key", scope_id="k", metric="tokens", window="month", amount=100)


@pytest.fixture
def namespace() -> str:
    """A part of Redis that is the test's own."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
async def redis(redis_url: Secret) -> AsyncIterator[Redis]:
    """A client of the shared Redis."""
    async with connect(redis_url, timeout_s=5) as client:
        yield client


@pytest.fixture
async def own_redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    """A client of a Redis that the test may end; it does not wait long."""
    async with connect(redis_server.url, timeout_s=1) as client:
        yield client


async def test_processes_share_one_budget(redis_url: Secret, namespace: str) -> None:
    """Three processes with 100 calls each against a budget for 50: exactly 50 get through."""
    command = [sys.executable, "-m", "tests.support.limit_racer", redis_url.reveal(), namespace, "100"]
    racers = [await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for _ in range(3)]
    outputs = [await asyncio.wait_for(racer.communicate(), 50) for racer in racers]

    assert sum(int(output.split()[-1]) for output, _ in outputs) == BUDGET.amount


async def test_decision_is_one_round_trip(redis: Redis, clock: Clock, namespace: str) -> None:
    """Six rules or one, a call costs Redis one command to reserve and one to settle."""
    limiter = RedisLimiter(redis, clock, namespace=namespace)
    await limiter.release(await limiter.reserve(RULES, Charge(tokens=1), 60))
    before = await _commands_from_clients(redis)
    await limiter.settle(await limiter.reserve([*RULES, PLACES], Charge(tokens=5), 60), Charge(tokens=1))

    assert await _commands_from_clients(redis) - before == 2


async def _commands_from_clients(redis: Redis) -> int:
    stats: Any = await redis.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0) + stats.get("cmdstat_script", {}).get("calls", 0))


async def test_keys_share_a_slot_and_expire(redis: Redis, clock: Clock, namespace: str) -> None:
    """Every count has the hash tag of its namespace, and a time to live that ends after its window."""
    limiter = RedisLimiter(redis, clock, namespace=namespace)
    await limiter.reserve([*RULES, PLACES], Charge(tokens=5), 60)
    keys = [key async for key in redis.scan_iter(f"*{namespace}*")]
    lives = {key.decode(): await redis.pttl(key) for key in keys}

    assert len(keys) == len(RULES) + 2
    assert all(key.startswith(f"{{{namespace}}}:") for key in lives)
    assert [key for key, life in lives.items() if life == -1] == [f"{{{namespace}}}:limits:whole"]
    assert max(lives.values()) <= 62 * DAY
    assert 59_000 < lives[f"{{{namespace}}}:limits:key:k:concurrent::fixed"] <= 60_000


async def test_script_is_loaded_again(redis: Redis, clock: Clock, namespace: str) -> None:
    """A Redis that forgot the script gets it again, unnoticed."""
    limiter = RedisLimiter(redis, clock, namespace=namespace)
    await limiter.reserve([TOKENS], Charge(tokens=40), 60)
    await redis.script_flush()
    await limiter.reserve([TOKENS], Charge(tokens=40), 60)

    assert [standing.remaining for standing in await limiter.standing([TOKENS])] == [20]


async def test_a_burst_waits_for_its_turn(redis: Redis, clock: Clock, namespace: str) -> None:
    """More decisions at once than there are connections: each is made, the script's loading among them."""
    limiter = RedisLimiter(redis, clock, namespace=namespace)
    await redis.script_flush()
    many = LimitRule(scope="key", scope_id="k", metric="requests", window="month", amount=1000)
    grants = await asyncio.gather(*(limiter.reserve([many], Charge(), 60) for _ in range(300)))
    used = [standing.used for standing in await limiter.standing([many])]
    await asyncio.gather(*(limiter.release(grant) for grant in grants))

    assert used == [300]
    assert [standing.used for standing in await limiter.standing([many])] == [0]


async def test_calls_are_refused_while_redis_is_away(redis_server: RedisServer, own_redis: Redis, clock: Clock) -> None:
    """By default a call that cannot be counted is refused with 503, and one under way ends without an error."""
    limiter = RedisLimiter(own_redis, clock)
    grant = await limiter.reserve([TOKENS], Charge(tokens=40), 60)
    redis_server.kill()
    with pytest.raises(Overloaded) as refused:
        await limiter.reserve([TOKENS], Charge(tokens=1), 60)
    with pytest.raises(Overloaded):
        await limiter.standing([TOKENS])
    await limiter.settle(grant, Charge(tokens=30))

    assert (refused.value.http_status, refused.value.retry_after) == (503, 1.0)
    assert refused.value.message == "The store of the limits does not answer."
    redis_server.start()
    await limiter.reserve([TOKENS], Charge(tokens=100), 60)


async def test_redis_that_does_not_answer_is_away(redis_server: RedisServer, own_redis: Redis, clock: Clock) -> None:
    """A Redis that hangs costs a call the configured time and no more, and counts on when it is back."""
    limiter = RedisLimiter(own_redis, clock)
    await limiter.reserve([TOKENS], Charge(tokens=40), 60)
    redis_server.signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(5):
            with pytest.raises(Overloaded):
                await limiter.standing([TOKENS])
    finally:
        redis_server.signal(signal.SIGCONT)

    assert [standing.remaining for standing in await limiter.standing([TOKENS])] == [60]


async def test_emptied_redis_is_filled_from_the_ledger_once(
    redis_server: RedisServer, own_redis: Redis, clock: Clock
) -> None:
    """When Redis comes back empty, what the ledger knows is counted before anything is granted, once for all."""
    rules = [*RULES, PLACES]
    hours = [
        Used(rules=rules, charge=Charge(tokens=10), at_ns=clock() - ago * 3_600_000_000_000)
        for ago in (30 * 24, 25, 3, 0)
    ]
    together = asyncio.Barrier(3)

    async def history() -> Sequence[Used]:
        await together.wait()  # so that all the limiters find Redis empty
        return hours

    limiters = [RedisLimiter(own_redis, clock, history=history) for _ in range(3)]
    standings = await asyncio.gather(*(limiter.standing(rules) for limiter in limiters))
    redis_server.kill()
    with pytest.raises(Overloaded):
        await limiters[0].standing(rules)
    redis_server.start()
    standings += await asyncio.gather(*(limiter.standing(rules) for limiter in limiters))

    local = MemoryLimiter(clock)
    for used in hours:
        local.restore(used.rules, used.charge, used.at_ns)
    expected = [row.used for row in await local.standing(rules)]
    assert [[row.used for row in rows] for rows in standings] == [expected] * 6
    assert expected[RULES.index(TOKENS)] == 20
    yesterday = (clock.now_ms // DAY - 1) * DAY
    assert 0 < await own_redis.pttl(f"{{llmgateway}}:limits:key:k:tokens:day:fixed:{yesterday}") <= DAY / 2


async def test_grant_from_before_the_loss_takes_no_more_than_there_is(
    redis_server: RedisServer, own_redis: Redis, clock: Clock
) -> None:
    """Settling a reservation that the ledger did not know yet leaves a count of zero, which still expires."""
    limiter = RedisLimiter(own_redis, clock)
    grant = await limiter.reserve(RULES, Charge(tokens=40), 60)
    redis_server.kill()
    with pytest.raises(Overloaded):
        await limiter.standing(RULES)
    redis_server.start()
    await limiter.reserve(RULES, Charge(tokens=10), 60)
    await limiter.settle(grant, Charge(tokens=5))
    keys = [key async for key in own_redis.scan_iter("*:tokens:*")]

    assert {row.used for row in await limiter.standing(RULES) if row.rule.metric == "tokens"} == {0}
    assert min([await own_redis.pttl(key) for key in keys]) > 0


async def test_cancelled_reservation_is_given_back(redis_server: RedisServer, own_redis: Redis, clock: Clock) -> None:
    """A call that is cancelled while Redis decides holds nothing afterwards."""
    limiter = RedisLimiter(own_redis, clock)
    await limiter.standing([TOKENS, PLACES])
    redis_server.signal(signal.SIGSTOP)
    calls = [asyncio.create_task(limiter.reserve([TOKENS, PLACES], Charge(tokens=30), 60)) for _ in range(2)]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    redis_server.signal(signal.SIGCONT)
    await limiter.aclose()

    assert all(call.cancelled() for call in calls)
    assert [standing.used for standing in await limiter.standing([TOKENS, PLACES])] == [0, 0]


async def test_cancelled_settle_is_carried_out(redis: Redis, clock: Clock, namespace: str) -> None:
    """A call that is cancelled while it settles is settled."""
    limiter = RedisLimiter(redis, clock, namespace=namespace)
    grant = await limiter.reserve([TOKENS, PLACES], Charge(tokens=30), 60)
    settling = asyncio.ensure_future(limiter.settle(grant, Charge(tokens=7)))
    await asyncio.sleep(0)
    settling.cancel()
    await asyncio.wait([settling])
    await limiter.aclose()

    assert settling.cancelled()
    assert [standing.used for standing in await limiter.standing([TOKENS, PLACES])] == [7, 0]


async def test_local_fallback_counts_alone(redis_server: RedisServer, own_redis: Redis, clock: Clock) -> None:
    """With the fallback, each process goes on with counts of its own, then returns to the shared ones."""
    seconds = 0.0
    shared = RedisLimiter(own_redis, clock)
    limiter = LocalFallbackLimiter(shared, MemoryLimiter(clock), lambda: seconds)
    early = await limiter.reserve([TOKENS], Charge(tokens=100), 60)
    redis_server.kill()
    alone = await limiter.reserve([TOKENS], Charge(tokens=80), 60)
    with pytest.raises(QuotaExceeded):
        await limiter.reserve([TOKENS], Charge(tokens=30), 60)
    await limiter.settle(alone, Charge(tokens=60))
    await limiter.settle(early, Charge(tokens=1))
    assert [standing.used for standing in await limiter.standing([TOKENS])] == [60]
    redis_server.start()
    assert [standing.used for standing in await limiter.standing([TOKENS])] == [60]
    seconds += STAY_LOCAL_S

    assert [standing.used for standing in await limiter.standing([TOKENS])] == [0]
    await limiter.release(await limiter.reserve([TOKENS], Charge(tokens=100), 60))

"""Both limiters, on a clock that the test moves."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from gateway.admission.limits.memory import MemoryLimiter
from gateway.admission.limits.model import Limiter
from gateway.admission.limits.redis import RedisLimiter, connect
from gateway.config import Secret
from tests.support.redis import RedisServer, running_redis

NOON = 1_772_366_400_000
"""2026-03-01T12:00:00Z, in milliseconds."""


@dataclass
class Clock:
    """Unix time, at rest until it is moved."""

    now_ms: int = NOON

    def __call__(self) -> int:
        return self.now_ms * 1_000_000


@pytest.fixture
def clock() -> Clock:
    """A clock at noon."""
    return Clock()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[Secret]:
    """A Redis for the whole run: `TEST_REDIS_URL`, or one of our own."""
    if external := os.environ.get("TEST_REDIS_URL"):
        yield Secret(external)
        return
    with running_redis() as server:
        yield server.url


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis that the test may end."""
    with running_redis() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
async def limiter(request: pytest.FixtureRequest, clock: Clock, redis_url: Secret) -> AsyncIterator[Limiter]:
    """Each limiter in turn, empty."""
    if request.param == "memory":
        yield MemoryLimiter(clock)
        return
    async with connect(redis_url, timeout_s=5) as redis:
        limiter = RedisLimiter(redis, clock, namespace=f"test-{uuid.uuid4().hex}")
        yield limiter
        await limiter.aclose()

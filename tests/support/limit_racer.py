"""A process that races others for one budget: `python -m tests.support.limit_racer URL NAMESPACE CALLS`.

Prints how many calls it was granted. The rule is `BUDGET`; a call takes one nano-dollar.
"""

import asyncio
import sys

from gateway.admission.limits.model import Charge, LimitRule
from gateway.admission.limits.redis import RedisLimiter, connect
from gateway.config import Secret
from gateway.errors import QuotaExceeded

BUDGET = LimitRule(scope="gateway", metric="spend_nano", window="month", amount=50)


async def race(url: Secret, namespace: str, calls: int) -> int:
    """Make the calls, all at once, and return how many were granted."""
    async with connect(url, timeout_s=20) as redis:
        limiter = RedisLimiter(redis, namespace=namespace)

        async def call() -> bool:
            try:
                await limiter.reserve([BUDGET], Charge(spend_nano=1), 60)
            except QuotaExceeded:
                return False
            return True

        granted = sum(await asyncio.gather(*(call() for _ in range(calls))))
        await limiter.aclose()
        return granted


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(race(Secret(sys.argv[1]), sys.argv[2], int(sys.argv[3])))}\n")

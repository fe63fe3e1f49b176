"""What admission and the ledger cost: CPU a call, without a network (`python -m bench.admission`).

Calls with six limits come at a steady rate, or without a pause (rate 0), are bound, reserved, settled and stored in
SQLite. The CPU is the whole process's: the event loop, and SQLite's threads. A loop of the same rate that only parses
the requests is taken off: a process that sleeps and wakes, its timers and the parsing are there without limits too.
With `--redis-url` the limits are counted there.

The fewer calls a second, the dearer each: it finds the caches of the CPU cold, and shares a commit with fewer.
"""

import argparse
import asyncio
import functools
import gc
import itertools
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import uvloop

from bench.load import word
from gateway.admission.admission import Admission
from gateway.admission.keys import Keys
from gateway.catalog.entries import ModelFacts, Prices
from gateway.config import LimitSpec, ProviderSettings, load
from gateway.dispatch.ask import ChatAsk
from gateway.state import open_state, open_stored
from gateway.telemetry.record import CallRecord
from gateway.wire.completion import Usage

_PROMPT: Final = "WORD " + "The quick brown fox jumps over the lazy dog. " * 4
_BODY: Final = json.dumps(
    {"model": "gpt-4o", "messages": [{"role": "user", "content": _PROMPT}], "max_tokens": 100}
).encode()
_NUMBERS: Final = itertools.count(time.time_ns() % 10**9)
_LIMITS: Final = LimitSpec(
    requests_per_minute=10**9,
    tokens_per_minute=10**12,
    concurrent=10**6,
    requests_per_day=10**9,
    requests_per_month=10**9,
    spend_per_month="100000",
)
_FACTS: Final = ModelFacts(prices=Prices(input=2_500_000_000, output=10_000_000_000), max_output_tokens=16_384)
_STEP_S: Final = 0.005
_AT_ONCE: Final = 5
"""Calls at a time where they come without a pause: as many as a step has at 1000 calls a second."""
_FLUSHED: Final = 10_000
"""After so many calls the ledger is waited for: without a pause they come faster than it can write them."""
_USAGE: Final = Usage(prompt_tokens=50, completion_tokens=20, total_tokens=70)


def _body() -> bytes:
    """Return a request that was not there before, so that nothing kept from an earlier one helps."""
    return _BODY.replace(b"WORD", word(next(_NUMBERS)).encode())


async def _call(keys: Keys, admission: Admission, key: str, target: Any) -> None:
    caller = await keys.identify(key)
    record = CallRecord()
    ask = ChatAsk.parse(
        _body(), request_id="bench", started=time.monotonic(), timeout=None, record=record, caller=caller
    )
    permit, targets = admission.admit(ask.facts(60.0), [target])
    with permit:
        await permit.use(targets[0])
        await asyncio.sleep(0)
        record.usage = _USAGE


async def _parse() -> None:
    ChatAsk.parse(_body(), request_id="bench", started=time.monotonic(), timeout=None, record=CallRecord())
    await asyncio.sleep(0)


async def _paced(
    work: Callable[[], Awaitable[None]], rate: int, seconds: float, finish: Callable[[], Awaitable[None]]
) -> tuple[float, float]:
    """Return the CPU of one call at `rate` calls a second, in µs: the event loop's, and the other threads'."""
    loop = asyncio.get_running_loop()
    count, start, cpu, own = 0, loop.time(), time.process_time(), time.thread_time()
    while (elapsed := loop.time() - start) < seconds:
        due = int(elapsed * rate) - count if rate else _AT_ONCE
        await asyncio.gather(*(work() for _ in range(due)))
        count += due
        if not rate and not count % _FLUSHED:
            await finish()
        await asyncio.sleep(_STEP_S if rate else 0)
    await finish()
    own, cpu = time.thread_time() - own, time.process_time() - cpu
    return own / max(1, count) * 1e6, (cpu - own) / max(1, count) * 1e6


async def _measure(rates: list[int], seconds: float, redis_url: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {"DATABASE_URL": f"sqlite:///{folder}/gateway.db", "REDIS_URL": redis_url}
        settings = load(environment, _empty(Path(folder)))
        async with open_stored(settings.storage) as stored:
            _, secret = await stored.keys.create("bench", limits=_LIMITS)
        async with open_state(settings) as state:
            keys, admission = state.serve_by(settings, lambda *_: _FACTS)
            target = SimpleNamespace(
                provider=SimpleNamespace(name="openai"), model="gpt-4o", settings=ProviderSettings(kind="openai")
            )
            call = functools.partial(_call, keys, admission, secret.reveal(), target)
            await call()
            await state.ledger.flush()
            gc.collect()
            gc.freeze()  # as a worker does
            for rate in rates:
                empty = await _paced(_parse, rate, seconds, state.ledger.flush)
                full = await _paced(call, rate, seconds, state.ledger.flush)
                loop, threads = full[0] - empty[0], full[1] - empty[1]
                name = f"{rate:6} calls/s" if rate else "without a pause"
                print(f"{name:15}  {loop + threads:7.1f} µs CPU a call: event loop {loop:.1f}, threads {threads:.1f}")


def _empty(folder: Path) -> Path:
    path = folder / "gateway.yaml"
    path.touch()
    return path


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rates", type=int, nargs="+", default=[200, 1000, 0])
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--redis-url", default="")
    chosen = options.parse_args()
    uvloop.run(_measure(chosen.rates, chosen.seconds, chosen.redis_url))


if __name__ == "__main__":
    main()

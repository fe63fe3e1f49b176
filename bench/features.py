"""What limits, ledger and the headers that tell of them cost in the whole gateway (`python -m bench.features`).

The floor, the product, and two copies of it in which parts do nothing (`bench/without.py`) answer 16 callers in short
turns, for the machine has faster and slower minutes. Each round starts them anew, for a process is a little cheaper or
dearer than another one for all its life. CPU is of each whole process tree, Envoy included; what a part costs is the
difference. Each prompt is a text of its own, with a word that was never there before, so that nothing that is kept of
earlier ones helps with it: counting its tokens is a part of the price. With `--same-prompt` the requests are those of
the whole bench, whose tokens are counted once. It takes four to five minutes.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench import cpu
from bench.processes import Failed
from bench.scenarios import Scenario
from bench.targets import PRODUCT, measure, started

_GATEWAYS: Final = {
    "gateway": PRODUCT,
    "no-headers": ("bench.without", "headers"),
    "none": ("bench.without", "all"),
}
_TARGETS: Final = ("floor", *_GATEWAYS)
_TURNS: Final = 8
_STORED_S: Final = 0.5
"""After a turn, until the last of its records have reached the database."""
_TITLES: Final = {
    "floor": "floor",
    "gateway": "everything",
    "no-headers": "without the headers",
    "none": "without limits, ledger and headers",
}


def _measure(rounds: int, requests: int, scenario: Scenario, *, varied: bool) -> dict[str, list[float]]:
    """Return the CPU of a request in microseconds, by target and round."""
    taken: dict[str, list[float]] = {name: [] for name in _TARGETS}
    for number in range(rounds):
        for name, cpu_s in _round(requests, scenario, varied=varied).items():
            taken[name].append(cpu_s / (requests // _TURNS * _TURNS) * 1e6)
        print(f"round {number + 1}/{rounds}", file=sys.stderr)
    return taken


def _round(requests: int, scenario: Scenario, *, varied: bool) -> dict[str, float]:
    """Return the CPU of all requests of a round in seconds, by target."""
    spent = dict.fromkeys(_TARGETS, 0.0)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as home,
        started(Path(home), _TARGETS, {}, _GATEWAYS) as targets,
    ):
        counted = [target for target in targets if target.counted]
        for target in counted:
            measure(target, scenario, max(scenario.callers, requests // 3), varied=varied)
        for turn in range(_TURNS):
            for target in counted[:: -1 if turn % 2 else 1]:
                before = cpu.usage(target.process.pid).cpu_s
                measure(target, scenario, requests // _TURNS, varied=varied)
                time.sleep(_STORED_S)  # nothing outside the process tells when they are there
                spent[target.name] += cpu.usage(target.process.pid).cpu_s - before
    return spent


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=6)
    options.add_argument("--requests", type=int, default=4000)
    options.add_argument("--callers", type=int, default=16)
    options.add_argument("--same-prompt", action="store_true", help="send the requests of the whole bench")
    chosen = options.parse_args()
    scenario = Scenario("features", chosen.callers, chosen.requests)
    try:
        taken = _measure(chosen.rounds, chosen.requests, scenario, varied=not chosen.same_prompt)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    for name, title in _TITLES.items():
        found = taken[name]
        print(f"{title:36} {statistics.median(found):6.0f} µs CPU a request  ({min(found):.0f}..{max(found):.0f})")
    for name in ("no-headers", "none"):
        price = [whole - less for whole, less in zip(taken["gateway"], taken[name], strict=True)]
        print(f"more than {_TITLES[name]:26} {statistics.median(price):6.0f} µs  ({min(price):.0f}..{max(price):.0f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

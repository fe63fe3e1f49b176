"""What limits, ledger and the headers that tell of them cost in the whole gateway (`python -m bench.features`).

The floor, the product, and two copies of it in which parts do nothing (`bench/without.py`) answer 16 callers in turns.
CPU is of each whole process tree, Envoy included; what a part costs is the difference. Prompts differ from request to
request, so that nothing that is kept from an earlier one helps. It takes two minutes.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench.processes import Failed
from bench.scenarios import Scenario
from bench.targets import PRODUCT, measure, started

_GATEWAYS: Final = {
    "gateway": PRODUCT,
    "no-headers": ("bench.without", "headers"),
    "none": ("bench.without", "all"),
}
_TARGETS: Final = ("floor", *_GATEWAYS)
_TITLES: Final = {
    "floor": "floor",
    "gateway": "everything",
    "no-headers": "without the headers",
    "none": "without limits, ledger and headers",
}


def _measure(rounds: int, requests: int, callers: int) -> dict[str, list[float]]:
    """Return the CPU of a request in microseconds, by target and round."""
    scenario = Scenario("features", callers, requests)
    taken: dict[str, list[float]] = {name: [] for name in _TARGETS}
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as home,
        started(Path(home), _TARGETS, {}, _GATEWAYS) as targets,
    ):
        counted = [target for target in targets if target.counted]
        for target in counted:
            measure(target, scenario, max(callers, requests // 4), varied=True)
        for number in range(rounds):
            for target in counted[:: -1 if number % 2 else 1]:
                result = measure(target, scenario, requests, varied=True)
                taken[target.name].append(result.cpu_s / result.requests * 1e6)
                print(f"round {number + 1}/{rounds} {target.name}", file=sys.stderr)
    return taken


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--requests", type=int, default=4000)
    options.add_argument("--callers", type=int, default=16)
    chosen = options.parse_args()
    try:
        taken = _measure(chosen.rounds, chosen.requests, chosen.callers)
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

"""`python -m bench`: measure the gateway beside the floor and a direct call, in one run, in turns."""

import argparse
import datetime as dt
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from bench import cpu, report
from bench.processes import ROOT, Failed
from bench.report import Row
from bench.scenarios import Scenario, scenarios
from bench.targets import PRODUCT, Target, measure, started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: does it work, not how fast is it")
    parser.add_argument("--only", default="", help="comma-separated scenarios, e.g. unary-16,paced-64")
    parser.add_argument("--targets", default="floor,gateway", help="comma-separated: floor, gateway (default both)")
    parser.add_argument("--requests", type=int, default=4000, help="requests a unary round (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default %(default)s)")
    parser.add_argument("--json", type=Path, help="raw output (default bench/results/<date>.json)")
    parser.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE", help="for the gateway")
    return parser.parse_args()


def _run(targets: Sequence[Target], chosen: Sequence[Scenario], rounds: int, rows: list[Row]) -> None:
    """Warm up, then measure every scenario against every target in turns; rows are added as they come."""
    for target in targets:
        for scenario in chosen:
            measure(target, scenario, scenario.callers if scenario.per == "chunk" else min(scenario.requests, 1000))
    for number in range(rounds):
        for scenario in chosen:
            if scenario.once and number:
                continue
            for target in targets:
                before = cpu.usage(target.process.pid).rss_bytes
                result = measure(target, scenario, scenario.requests)
                rows.append(Row(number, scenario.name, target.name, result, before))
                print(f"round {number + 1}/{rounds} {scenario.name} {target.name}", file=sys.stderr)


def _machine() -> dict[str, str]:
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": model[0].partition(":")[2].strip() if model else platform.machine(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
    }


def _ended(*_: object) -> NoReturn:
    raise SystemExit(143)


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, _ended)
    every = scenarios(300, 2000) if options.quick else scenarios(options.requests, 20_000)
    names = [name for name in options.only.split(",") if name] or [scenario.name for scenario in every]
    wanted = options.targets.split(",")
    if unknown := {*names} - {scenario.name for scenario in every} | {*wanted} - {"floor", "gateway"}:
        print(f"unknown scenario or target: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    chosen = [scenario for scenario in every if scenario.name in names]
    settings = dict(setting.split("=", 1) for setting in options.setting)
    rows: list[Row] = []
    when = dt.datetime.now(dt.UTC)
    raw = options.json or ROOT / "bench" / "results" / f"{when:%Y-%m-%d-%H%M}.json"
    try:
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as home,
            started(Path(home), wanted, settings, {"gateway": PRODUCT}) as targets,
        ):
            _run(targets, chosen, 1 if options.quick else options.rounds, rows)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if rows:
            raw.parent.mkdir(parents=True, exist_ok=True)
            document = {"when": when, "machine": _machine(), "settings": settings, "scenarios": chosen, "rows": rows}
            raw.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1))
    print(report.markdown(rows, chosen, wanted))
    return 0


if __name__ == "__main__":
    sys.exit(main())

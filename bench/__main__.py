"""`python -m bench`: measure the gateway beside the floor and a direct call, in one run, in turns."""

import argparse
import contextlib
import datetime as dt
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from bench import cpu, report
from bench.load import Load, Result
from bench.processes import ROOT, Failed, Process, free_ports
from bench.report import DIRECT, Row
from bench.scenarios import Scenario, scenarios

_KEY: Final = "bench-key-0123456789abcdef"
_READY_S: Final = 60.0
_LOAD_S: Final = 180.0
_GRACE_S: Final = 20.0  # for a load process to start and to print
_UNLIMITED: Final = str(10**9)  # limits stay switched on, out of reach


class Target(msgspec.Struct, frozen=True):
    """Something under load. `driver` is a module that takes a Load as JSON and prints a Result: HTTP here."""

    name: str
    port: int
    process: Process
    counted: bool = True
    model_prefix: str = ""
    driver: str = "bench.load"


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


@contextlib.contextmanager
def _targets(home: Path, wanted: Sequence[str], settings: dict[str, str]) -> Iterator[list[Target]]:
    """The upstream and the wanted targets, ready. Ends all of them."""
    upstream_port, floor_port, port, grpc_port, metrics_port = free_ports(5)
    base = f"http://127.0.0.1:{upstream_port}"
    python = sys.executable
    with contextlib.ExitStack() as running:
        upstream = running.enter_context(
            Process("upstream", [python, "-m", "bench.upstream", "--port", str(upstream_port)], home)
        )
        upstream.wait_until_ready(upstream_port, None, _READY_S)
        targets = [Target(DIRECT, upstream_port, upstream, counted=False)]
        if "floor" in wanted:
            command = [python, "-m", "bench.floor", "--port", str(floor_port), "--upstream", base]
            floor = running.enter_context(Process("floor", command, home))
            floor.wait_until_ready(floor_port, None, _READY_S)
            targets.append(Target("floor", floor_port, floor))
        if "gateway" in wanted:
            values = {
                "SERVICE_PORT": str(port),
                "GRPC_PORT": str(grpc_port),
                "METRICS_PORT": str(metrics_port),
                "ADMIN_PORT": "0",
                "ALLOWED_API_KEYS": _KEY,
                "OPENAI_BASE_URL": f"{base}/v1",
                "OPENAI_API_KEY": "x",
                "AI_QUOTA_DAILY_LIMIT": _UNLIMITED,
                "AI_QUOTA_MONTHLY_LIMIT": _UNLIMITED,
                "AI_QUOTA_MONTHLY_SPEND_LIMIT": "999999",
            }
            command = [python, "-m", "gateway", "run"]
            gateway = running.enter_context(Process("gateway", command, home, values | settings))
            gateway.wait_until_ready(port, "/readyz", _READY_S)
            targets.append(Target("gateway", port, gateway, model_prefix="openai/"))
        yield targets


def _measure(target: Target, scenario: Scenario, requests: int) -> Result:
    """Run one load in its own process. Raises Failed on any error in it."""
    load = Load(
        port=target.port,
        model=target.model_prefix + scenario.model,
        callers=scenario.callers,
        requests=requests,
        key=_KEY,
        stream=scenario.stream,
        events=scenario.events,
        stagger_s=scenario.stagger_s,
        watch_pid=target.process.pid if target.counted else 0,
        deadline_s=_LOAD_S,
    )
    command = [sys.executable, "-m", target.driver, msgspec.json.encode(load).decode()]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}
    where = f"{scenario.name} against {target.name}"
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            timeout=_LOAD_S + _GRACE_S,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{where}: the load did not end in time") from None
    target.process.check()
    if done.returncode:
        raise Failed(f"{where}: the load failed\n{done.stderr.decode(errors='replace')[-2000:]}")
    result = msgspec.json.decode(done.stdout, type=Result)
    if result.errors or result.requests != requests:
        raise Failed(f"{where}: {result.errors} errors in {requests} requests, e.g. {result.error_samples}")
    return result


def _run(targets: Sequence[Target], chosen: Sequence[Scenario], rounds: int, rows: list[Row]) -> None:
    """Warm up, then measure every scenario against every target in turns; rows are added as they come."""
    for target in targets:
        for scenario in chosen:
            _measure(target, scenario, scenario.callers if scenario.per == "chunk" else min(scenario.requests, 1000))
    for number in range(rounds):
        for scenario in chosen:
            if scenario.once and number:
                continue
            for target in targets:
                before = cpu.usage(target.process.pid).rss_bytes
                result = _measure(target, scenario, scenario.requests)
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
        with tempfile.TemporaryDirectory(prefix="bench-") as home, _targets(Path(home), wanted, settings) as targets:
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

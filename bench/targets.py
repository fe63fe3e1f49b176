"""What is put under load: the floor and the gateway, each with the mock upstream behind it, and how to load one."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.load import Load, Result
from bench.processes import ROOT, Failed, Process, free_ports
from bench.report import DIRECT
from bench.scenarios import Scenario

_KEY: Final = "bench-key-0123456789abcdef"
_READY_S: Final = 60.0
_LOAD_S: Final = 180.0
_GRACE_S: Final = 20.0  # for a load process to start and to print
_UNLIMITED: Final = str(10**9)  # limits stay switched on, out of reach
PRODUCT: Final = ("gateway", "run")


class Target(msgspec.Struct, frozen=True):
    """Something under load. `driver` is a module that takes a Load as JSON and prints a Result: HTTP here."""

    name: str
    port: int
    process: Process
    counted: bool = True
    model_prefix: str = ""
    driver: str = "bench.load"


@contextlib.contextmanager
def started(
    home: Path, wanted: Sequence[str], settings: Mapping[str, str], gateways: Mapping[str, Sequence[str]]
) -> Iterator[list[Target]]:
    """The upstream and the wanted targets, ready. Ends all of them.

    `gateways` are modules with their arguments, by the names of the targets that they are.
    """
    upstream_port, floor_port = free_ports(2)
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
        for name, (module, *arguments) in gateways.items():
            if name not in wanted:
                continue
            port, grpc_port, metrics_port = free_ports(3)
            folder = home / name
            folder.mkdir()
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
            command = [python, "-m", module, *arguments]
            gateway = running.enter_context(Process(name, command, folder, {**values, **settings}))
            gateway.wait_until_ready(port, "/readyz", _READY_S)
            targets.append(Target(name, port, gateway, model_prefix="openai/"))
        yield targets


def measure(target: Target, scenario: Scenario, requests: int, *, varied: bool = False) -> Result:
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
        varied=varied,
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

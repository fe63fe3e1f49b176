"""`python -m gateway run`: one command that starts, watches and stops everything."""

import asyncio
import os
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import aiohttp
import pytest

from tests.support.command import PORTS, finished, running_command
from tests.support.databases import postgres_database
from tests.support.ports import free_port
from tests.support.redis import running_redis

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the children in /proc, which is Linux's")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_ctrl_c_stops_everything_cleanly(tmp_path: Path) -> None:
    """Exit code 0, ports free, no child left; the line that the banner shows had worked."""
    async with running_command(tmp_path) as command:
        children = command.children()
        lines = command.banner.splitlines()
        first = next(number for number, line in enumerate(lines) if line.strip().startswith("curl"))
        pasted = "\n".join(line for line in lines[first:] if line.strip())
        done = await asyncio.to_thread(
            subprocess.run, ["bash", "-c", pasted], capture_output=True, text=True, timeout=20, check=False
        )
        code = await command.interrupt()

    assert set(children) == {"worker", "envoy"}
    assert '"content":"hello"' in done.stdout, done.stderr
    assert code == 0
    assert not [name for name, port in command.ports.items() if not is_free(port)]
    assert not [name for name, pid in children.items() if is_running(pid)]
    assert "Traceback" not in command.log.read_text()


async def test_the_banner_names_addresses_and_key(tmp_path: Path) -> None:
    """Each address answers as it says."""
    async with running_command(tmp_path) as command:
        ports = command.ports
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{ports['METRICS_PORT']}/metrics") as got,
        ):
            metrics = await got.text()

    assert command.url in command.banner
    assert f"127.0.0.1:{ports['GRPC_PORT']}" in command.banner
    assert f"127.0.0.1:{ports['METRICS_PORT']}/metrics" in command.banner
    assert f"http://127.0.0.1:{ports['ADMIN_PORT']}/admin/v1" in command.banner
    assert command.key.startswith("sk-dev-")
    assert "llmgateway_in_flight" in metrics


async def test_a_configured_key_is_not_printed(tmp_path: Path) -> None:
    """Only a key that was made for this run is shown."""
    async with running_command(tmp_path, {"ALLOWED_API_KEYS": "sk-canary-configured"}) as command:
        pass

    assert "YOUR_KEY" in command.banner
    assert "sk-canary-configured" not in command.banner + command.log.read_text()


async def test_workers_that_do_not_share_are_told_so_at_start(tmp_path: Path) -> None:
    """Without Redis the limits are not shared, and SQLite is one file for all."""
    async with running_command(tmp_path, None, "--workers", "2") as command:
        pass

    assert "each of the 2 workers counts alone, so 2 times a limit can pass. Set REDIS_URL" in command.banner
    assert "the 2 workers take turns at one SQLite file. Set DATABASE_URL to PostgreSQL" in command.banner


async def test_workers_that_share_everything_are_told_nothing(postgres: str, tmp_path: Path) -> None:
    """With Redis and PostgreSQL there is nothing to say."""
    with running_redis() as redis:
        async with postgres_database(postgres) as url:
            shared = {
                "DATABASE_URL": url,
                "REDIS_URL": redis.url.reveal(),
                "JOURNAL_DIR": str(tmp_path),
                "GATEWAY_MASTER_KEY": "test-master-key",
            }
            async with running_command(tmp_path, shared, "--workers", "2") as command:
                pass

    assert "workers" not in command.banner


@pytest.mark.parametrize(("child", "name"), [("envoy", "Envoy"), ("worker", "the gateway")])
async def test_a_dead_child_ends_the_command(tmp_path: Path, child: str, name: str) -> None:
    """Non-zero, with the reason in one line, and the other child stopped too. (One of several workers is restarted.)"""
    async with running_command(tmp_path) as command:
        children = command.children()
        os.kill(children[child], signal.SIGKILL)
        code = await command.ended()

    assert code == 1
    assert f"llmgateway: {name} was killed by SIGKILL; stopping" in command.log.read_text()
    assert not [pid for pid in children.values() if is_running(pid)]
    assert is_free(command.ports["SERVICE_PORT"])


async def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    """SIGKILL leaves no time to stop them; the kernel does."""
    async with running_command(tmp_path) as command:
        children = [os.pidfd_open(pid) for pid in command.children().values()]
        command.process.kill()
        await command.ended()
        for child in children:
            signalled = await _readable(child)
            assert signalled
            os.close(child)


async def _readable(descriptor: int) -> bool:
    """Wait until a process that `pidfd_open` gave ends."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(descriptor, ended.set_result, True)
    ended.add_done_callback(lambda _: loop.remove_reader(descriptor))
    return bool(await asyncio.wait_for(ended, 20))


@pytest.mark.parametrize("variable", PORTS)
async def test_a_taken_port_is_named_in_one_line(variable: str) -> None:
    """The number, and the setting that moves it."""
    ports = {name: str(free_port()) for name in PORTS}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = str(listener.getsockname()[1])
        code, output, errors = await finished("run", settings={**ports, variable: taken})

    assert (code, output) == (1, "")
    assert len(errors.splitlines()) == 1
    assert taken in errors
    assert variable in errors


async def test_a_port_that_two_settings_name_is_named_in_one_line() -> None:
    """Operators have a port of their own, also where somebody wants it to be everyone's."""
    port = str(free_port())
    ports = {"GRPC_PORT": "0", "METRICS_PORT": "0", "SERVICE_PORT": port, "ADMIN_PORT": port}
    code, output, errors = await finished("run", settings=ports)

    assert (code, output) == (1, "")
    assert errors == f"llmgateway: port {port} is named twice: set ADMIN_PORT to another\n"


async def test_operators_need_no_port(tmp_path: Path) -> None:
    """With ADMIN_PORT=0 it starts without one, and says nothing of one."""
    async with running_command(tmp_path, {"ADMIN_PORT": "0"}) as command:
        pass

    assert "operators" not in command.banner


async def test_serve_names_a_taken_port_too() -> None:
    """The worker alone, as a container would run it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = str(listener.getsockname()[1])
        for variable in ("GRPC_PORT", "METRICS_PORT"):
            ports = {"GRPC_PORT": "0", "METRICS_PORT": str(free_port()), variable: taken}
            code, _, errors = await finished("serve", settings=ports)
            assert code == 1
            assert [line for line in errors.splitlines() if line.startswith("llmgateway: ") and taken in line], errors


async def test_envoy_that_is_missing_says_so(tmp_path: Path) -> None:
    """In one line, before anything is started."""
    ports = {name: str(free_port()) for name in PORTS}
    code, _, errors = await finished("run", settings={**ports, "ENVOY_BIN": str(tmp_path / "no-envoy")})

    assert code == 1
    assert errors == f"llmgateway: ENVOY_BIN: {tmp_path / 'no-envoy'} is not a program that can be run\n"


async def test_a_wrong_setting_is_one_line_and_exit_2() -> None:
    """Before anything is started."""
    code, output, errors = await finished("run", settings={"SERVICE_PORT": "eighty"})

    assert (code, output) == (2, "")
    assert errors == "llmgateway: SERVICE_PORT (environment): expected an integer\n"


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run", "--fast"]], ids=shlex.join)
async def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    """With the usage line."""
    code, _, errors = await finished(*arguments)

    assert code == 2
    assert "usage: llmgateway" in errors


async def test_a_request_leaves_one_log_line_without_its_content(tmp_path: Path) -> None:
    """Who, what, where and how long; never what was said."""
    async with running_command(tmp_path) as command:
        headers = {"authorization": f"Bearer {command.key}", "x-request-id": "line-1"}
        body = {"model": "custom/echo", "messages": [{"role": "user", "content": "canary-prompt"}]}
        async with (
            aiohttp.ClientSession(command.url) as http,
            http.post("/v1/chat/completions", json=body, headers=headers) as response,
        ):
            await response.read()
        await command.interrupt()
        (line,) = [line for line in command.log_lines() if line.get("request_id") == "line-1"]

    assert {name: line[name] for name in line if name not in {"time", "total_ms", "key_id"}} == {
        "event": "request",
        "level": "info",
        "request_id": "line-1",
        "project_id": None,
        "route": "/v1/chat/completions",
        "rpc": "/llmgateway.v1.OpenAIService/ChatCompletions",
        "edge": "http",
        "status": "OK",
        "http_status": 200,
        "provider": "custom",
        "model": "echo",
        "attempts": 1,
        "prompt_tokens": 10,
        "cached_tokens": 0,
        "completion_tokens": 4,
        "reasoning_tokens": 0,
        "cost_nano_usd": 0,
        "first_token_ms": None,
        "trace_id": None,
    }
    assert line["key_id"].startswith("key-")
    assert line["total_ms"] > 0
    assert "canary-prompt" not in command.log.read_text()


async def test_python_runs_it_as_a_module() -> None:
    """The version, as a smoke test of the entry point."""
    from gateway import __version__

    code, output, _ = await finished("--version")

    assert (code, output.strip()) == (0, __version__)

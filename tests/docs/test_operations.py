"""docs/operations.md shows what really comes back; the other pages name only what exists."""

import asyncio
import itertools
import json
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config import ENVIRONMENT, load
from gateway.storage.tables import Table
from tests.support.command import ROOT, Command, environment_of, running_command

PAGE = (ROOT / "docs/operations.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHOWN = [(command, kind, output) for (name, command), (kind, output) in itertools.pairwise(BLOCKS) if name == "bash"]
PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.fixture(scope="module")
async def command(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Command]:
    """The gateway as `make run` starts it."""
    folder = tmp_path_factory.mktemp("operations")
    settings = {"DATABASE_URL": f"sqlite:///{folder}/gateway.db", "SHUTDOWN_DELAY_S": "5"}
    async with running_command(folder, settings) as running:
        yield running


def shape(value: Any) -> Any:
    """Return what is the same in every run: the names and the kinds of values, in their order."""
    if isinstance(value, dict):
        return [(name, shape(inner)) for name, inner in value.items()]
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


async def test_every_output_is_real(command: Command) -> None:
    """In the page's order, because log lines and metrics tell of what was done before; the last ends the gateway."""
    assert [kind for _, kind, _ in SHOWN] == [*["json"] * 6, "log", "log", "metrics", "log", "http"]
    for text, kind, output in SHOWN:
        for documented, name in (("8080", "SERVICE_PORT"), ("9464", "METRICS_PORT")):
            text = text.replace(f"127.0.0.1:{documented}", f"127.0.0.1:{command.ports[name]}")  # noqa: PLW2901
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-euo", "pipefail", "-c", text],
            env=environment_of({"LLMGATEWAY_KEY": command.key, "LLMGATEWAY_PID": str(command.process.pid)}),
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        if kind == "json":
            assert shape(json.loads(done.stdout)) == shape(json.loads(output))
        elif kind == "log":
            line = json.loads(output)
            written = await line_like(command, line)
            varying = ("key_id", "time", "first_token_ms", "total_ms", "config_version")
            assert shape(written) == shape(line)
            assert {**written, **dict.fromkeys(varying)} == {**line, **dict.fromkeys(varying)}
        elif kind == "http":
            assert answer(done.stdout) == answer(output)
        else:
            assert set(output.splitlines()) <= set(done.stdout.splitlines())
    assert await command.ended() == 0


def answer(text: str) -> tuple[str, dict[str, str], Any]:
    """Return an HTTP answer's status line, headers and JSON, without what each answer has of its own."""
    head, _, body = text.replace("\r", "").partition("\n\n")
    status, *lines = head.splitlines()
    headers: dict[str, str] = dict(line.split(": ", 1) for line in lines)
    return status, headers | dict.fromkeys(("x-request-id", "date"), ""), json.loads(body)


async def line_like(command: Command, line: dict[str, Any]) -> dict[str, Any]:
    """Return the log line of the same event, and of the same request if it is one's; lines are written in batches."""
    async with asyncio.timeout(5):
        while True:
            for written in command.log_lines():
                if all(written.get(name) == line.get(name) for name in ("event", "request_id")):
                    return written
            await asyncio.sleep(0.05)


def test_every_field_of_a_line_is_explained() -> None:
    """And nothing else, but for the fields that only some lines have."""
    line, refused = (json.loads(output) for _, kind, output in SHOWN if kind == "log" and "request_id" in output)
    (table,) = re.findall(r"^\| field \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    rows = table.strip().splitlines()[2:]
    explained = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}

    assert explained == {*line, "message", "request_body"}
    assert explained >= {*refused}


def test_every_table_is_told_of() -> None:
    """And no other."""
    section = PAGE.split("\n## What is stored\n")[1].split("\n## ")[0]
    named = [
        name for cell in re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    ]

    assert sorted(named) == sorted(Table.metadata.tables)


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_page_names_only_what_exists(page: Path) -> None:
    """Settings, files and links."""
    text = page.read_text()
    settings = {name for name in re.findall(r"\b([A-Z]+(?:_[A-Z]+)+)\b", text) if not name.startswith("NOT_")}

    assert settings - {"LLMGATEWAY_KEY", "LLMGATEWAY_PID"} <= set(ENVIRONMENT)
    assert [link for link in re.findall(r"\]\((?!http)([^)#]+)\)", text) if not (page.parent / link).exists()] == []
    assert [name for name in re.findall(r"`(deploy/[^`]+)`", text) if not (ROOT / name).exists()] == []


def test_the_deployment_fits_the_settings() -> None:
    """Ports, probes and times of the Kubernetes page are the gateway's."""
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/kubernetes.md").read_text(), re.DOTALL)
    deployment, service, ingress = yaml.safe_load_all(block)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    ours = load(environment).service

    assert pod["terminationGracePeriodSeconds"] > ours.shutdown_delay_s + ours.shutdown_grace_s
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": ours.port,
        "metrics": ours.metrics_port,
    }
    assert [port["port"] for port in service["spec"]["ports"]] == [ours.port]
    assert "proxy-body-size: 20m" in block
    assert ours.max_body_bytes == 20 * 1024 * 1024
    assert ingress["metadata"]["name"] == service["metadata"]["name"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert "USER 10001" in (ROOT / "Dockerfile").read_text()

"""The README tells the truth: every command runs, every table matches the code."""

import asyncio
import itertools
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.config import ENVIRONMENT, Secret, load
from tests.support.command import PORTS, ROOT, Command, environment_of, running_command
from tests.support.error_rows import ROWS
from tests.support.programs import program

GRPCURL = program("grpcurl")
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
OUTSIDE_SETTINGS = {"GATEWAY_CONFIG", "ENVOY_BIN", "GIT_COMMIT"}
"""Variables that are read without being settings."""


class Block(NamedTuple):
    """A command or program, and the output that the README promises, if it does."""

    language: str
    text: str
    output: str | None


RUNNABLE = [
    Block(language, text, after if kind_after == "text" else None)
    for (language, text), (kind_after, after) in itertools.pairwise([*BLOCKS, ("", "")])
    if language in {"bash", "python"}
]


@pytest.fixture(scope="module")
async def command(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Command]:
    """The gateway as `make run` starts it."""
    async with running_command(tmp_path_factory.mktemp("readme")) as running:
        yield running


def here(text: str, command: Command) -> str:
    """Put this run's ports in place of the README's."""
    for documented, name in zip(("8080", "50051", "9464", "9465"), PORTS, strict=True):
        text = text.replace(f"127.0.0.1:{documented}", f"127.0.0.1:{command.ports[name]}")
    return text


@pytest.mark.parametrize("block", RUNNABLE, ids=[block.text.splitlines()[0][:40] for block in RUNNABLE])
async def test_a_command_does_what_it_says(command: Command, block: Block, tmp_path: Path) -> None:
    """It ends well, and prints what the README shows."""
    if block.text.startswith("grpcurl") and GRPCURL is None:
        pytest.skip("grpcurl is not installed; `make grpcurl` builds it")
    environment = environment_of({"LLMGATEWAY_KEY": command.key, "DATABASE_URL": command.database})
    folders = [str(Path(sys.executable).parent), str(Path(GRPCURL or "").parent), environment["PATH"]]
    environment["PATH"] = os.pathsep.join(folders)
    if block.language == "python":
        # As a reader runs it: with the stubs on the path and nothing else of the project.
        environment["PYTHONPATH"] = str(ROOT / "generated")
        program = [sys.executable, "-c", here(block.text, command)]
    else:
        program = ["bash", "-euo", "pipefail", "-c", here(block.text, command)]
    done = await asyncio.to_thread(
        subprocess.run, program, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=40, check=False
    )

    assert done.returncode == 0, done.stderr
    assert '"error"' not in done.stdout
    assert done.stdout
    if block.output is not None:
        assert done.stdout.rstrip("\n") == block.output.rstrip("\n")


def test_there_is_something_to_run() -> None:
    """The pattern that finds the blocks has not stopped finding them."""
    assert {block.language for block in RUNNABLE} == {"bash", "python"}
    assert len([block for block in RUNNABLE if block.output is not None]) >= 3


def test_every_make_target_exists() -> None:
    """What CI runs is run there; what people run can be run."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"\bmake ([a-z][a-z-]*)", "".join(re.findall(r"`[^`\n]+`", README)) + "make run"))

    assert {"run", "test", "test-cov", "check", "bench"} <= targets
    assert [target for target in targets if f"\n{target}:" not in makefile] == []


def test_ci_runs_the_documented_commands() -> None:
    """`.ci/run` is what the table calls checks and tests."""
    assert {"make", "check", "test-cov"} <= set((ROOT / ".ci/run").read_text().split())


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_setting_is_in_the_table_and_only_those() -> None:
    """No variable is secret, none is invented."""
    documented = [cells[0].strip("`") for cells in rows("Settings")]

    assert sorted(documented) == sorted({*ENVIRONMENT, *OUTSIDE_SETTINGS})


def test_every_default_is_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the settings have it when nothing is set."""
    monkeypatch.chdir(tmp_path)
    documented = {cells[0].strip("`"): cells[1].strip("`") for cells in rows("Settings")}
    settings = load({})
    real = {}
    for variable, (setting, read) in ENVIRONMENT.items():
        value: Any = settings
        for name in setting.split("."):
            value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
        real[variable] = shown(value * 1000 if read.__name__ == "_milliseconds" else value)

    assert {name: documented[name] for name in real} == real


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Secret):
        value = value.reveal()
    return str(value) if value else "none"


def test_the_table_of_errors_is_the_error_table() -> None:
    """Every row, with its numbers and names."""
    documented = {tuple(cells) for cells in rows("Errors")}
    expected = {
        (
            str(row.http_status),
            row.grpc_code,
            f"`{row.code}`" if row.code else "null",
            f"`{row.reason}`",
            "yes" if row.retryable else "no",
        )
        for row in ROWS
    }

    assert documented == expected


def test_the_example_configurations_are_valid(tmp_path: Path) -> None:
    """They load as they stand, with their variables set."""
    path = tmp_path / "gateway.yaml"
    first, paid, models = [
        load({"GROQ_API_KEY": "sk-x", "OPENAI_API_KEY": "sk-y", "OPENAI_EU_KEY": "sk-z"}, path)
        for language, text in BLOCKS
        if language == "yaml" and path.write_text(text)
    ]

    assert {"groq", "local", "openai", "custom"} <= set(first.enabled_providers())
    assert first.aliases["fast"] == ("groq/llama-3.3-70b-versatile", "openai/gpt-4o-mini")
    assert paid.providers["openai"].key_source == "hybrid"
    assert models.models["groq/*"].prices is not None
    assert models.providers["openai-eu"].catalog == "openai"


@pytest.mark.skipif(not (ROOT / ".venv/.run").exists(), reason="needs the environment that `make` builds in .venv")
async def test_make_run_is_the_command(tmp_path: Path) -> None:
    """`make run` reaches the gateway: with a wrong setting it says so and fails."""
    done = await asyncio.to_thread(
        subprocess.run,
        ["make", "run"],
        cwd=ROOT,
        env=environment_of({"SERVICE_PORT": "eighty"}),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )

    assert done.returncode != 0
    assert "llmgateway: SERVICE_PORT (environment): expected an integer" in done.stderr

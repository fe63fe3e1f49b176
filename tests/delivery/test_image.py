"""The image's recipe, followed as far as that goes without Docker."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway import __version__
from gateway.config import ENVIRONMENT
from tests.support.command import ROOT

RECIPE = re.sub(r"\s*\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
STEPS = [
    (name, rest.strip())
    for name, _, rest in (line.partition(" ") for line in RECIPE.splitlines() if line and not line.startswith("#"))
]
FINAL_STAGE = max(number for number, (name, _) in enumerate(STEPS) if name == "FROM")
BUILD, FINAL = STEPS[:FINAL_STAGE], STEPS[FINAL_STAGE:]
HADOLINT = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


def steps(name: str, stage: list[tuple[str, str]] = FINAL) -> list[str]:
    return [rest for step, rest in stage if step == name]


def settings() -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in steps("ENV") for pair in shlex.split(rest))


def test_it_runs_the_one_command_as_nobody() -> None:
    """The same command as `make run`, not as root."""
    assert json.loads(steps("CMD")[-1]) == ["python", "-m", "gateway", "run"]
    assert "-m gateway run" in (ROOT / "Makefile").read_text()
    assert int(steps("USER")[-1]) > 0
    assert STEPS.index(("USER", steps("USER")[-1])) > max(n for n, (name, _) in enumerate(STEPS) if name == "RUN")


def test_its_base_is_one_exact_version() -> None:
    """The same one to build and to run, and one that the project supports."""
    bases = {rest.split(" AS ")[0] for rest in steps("FROM", STEPS)}

    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases.pop())


def test_no_build_tool_is_left_inside() -> None:
    """The final stage installs nothing and takes pip away."""
    commands = " ".join(steps("RUN"))

    assert "pip uninstall" in commands
    assert not re.search(r"apt-get|pip install|curl|wget", commands)
    assert {copy.split()[0] for copy in steps("COPY")} == {"--from=build"}


def test_nothing_that_it_copies_is_ignored() -> None:
    """`.dockerignore` lets through exactly what is copied."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert {copy.split()[0] for copy in steps("COPY", BUILD)} == allowed


def test_it_says_whether_it_is_well_and_what_it_was_built_from() -> None:
    """Health is the command for it; the commit is a build argument that `/version` shows."""
    assert steps("HEALTHCHECK")[-1].endswith('CMD ["python", "-m", "gateway", "health"]')
    assert steps("ARG") == ["GIT_COMMIT=unknown"]
    assert settings()["GIT_COMMIT"] == "$GIT_COMMIT"
    assert set(settings()) - {"PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "GIT_COMMIT"} <= set(ENVIRONMENT)


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed; `make test` installs it")
def test_the_linter_finds_nothing() -> None:
    """Hadolint with all its rules."""
    assert HADOLINT is not None
    done = subprocess.run([HADOLINT, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif("BUILD_IMAGE" not in os.environ, reason="installs packages; `make test-image` runs it")
@pytest.mark.timeout(400)
def test_what_it_builds_runs(tmp_path: Path) -> None:
    """The first stage's steps, one by one in an empty folder, then the image's command line with its environment."""

    def inside(text: str) -> str:
        return re.sub(r"(?<![\w/])/(app|venv|data)\b", lambda found: f"{tmp_path}/{found[1]}", text)

    outside = {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "HOME", "SSL_"))}
    base = str(Path(getattr(sys, "_base_executable", sys.executable)).parent)
    environment = {**outside, "PATH": f"{base}:/usr/bin:/bin"}
    folder = tmp_path / "app"
    folder.mkdir()
    (tmp_path / "data").mkdir()
    for name, rest in BUILD:
        if name == "COPY":
            source, target = rest.split()
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            ignored = shutil.ignore_patterns("__pycache__")
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder / target, ignore=ignored)
            else:
                shutil.copy(ROOT / source, folder / target)
        elif name == "RUN":
            subprocess.run(["sh", "-ec", inside(rest)], cwd=folder, env=environment, timeout=300, check=True)
    environment = {name: inside(value) for name, value in settings().items() if name != "GIT_COMMIT"}
    environment["PATH"] = environment["PATH"].replace("$PATH", "/usr/bin:/bin")
    environment["DATABASE_URL"] = settings()["DATABASE_URL"].replace("/data/", f"{tmp_path}/data/")

    def answers(*arguments: str) -> str:
        done = subprocess.run(
            ["python", "-m", "gateway", *arguments],
            executable=tmp_path / "venv/bin/python", cwd=folder, env=environment, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert answers("--version").strip() == __version__
    assert json.loads(answers("check-config"))["service"]["host"] == "0.0.0.0"
    assert yaml.safe_load(answers("envoy-config"))
    answers("migrate")
    assert (tmp_path / "data/gateway.db").exists()
    assert not list((tmp_path / "venv/lib").glob("python*/site-packages/pip"))

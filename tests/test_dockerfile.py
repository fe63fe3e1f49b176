"""The image's recipe, followed as far as that goes without Docker."""

import asyncio
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.command import ROOT

RECIPE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
STEPS = [
    (name, rest.strip())
    for name, _, rest in (line.partition(" ") for line in RECIPE.splitlines() if line and not line.startswith("#"))
]


def steps(name: str) -> list[str]:
    return [rest for step, rest in STEPS if step == name]


def test_it_runs_the_one_command_as_nobody() -> None:
    """The same command as `make run`, not as root."""
    makefile = (ROOT / "Makefile").read_text()

    assert json.loads(steps("CMD")[-1]) == ["python", "-m", "gateway", "run"]
    assert "-m gateway run" in makefile
    assert steps("USER")
    assert steps("USER")[-1] not in {"root", "0"}


def test_nothing_that_it_copies_is_ignored() -> None:
    """`.dockerignore` lets through exactly what is copied."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert {copy.split()[0] for copy in steps("COPY")} == allowed


async def test_what_it_copies_is_enough_to_run(tmp_path: Path) -> None:
    """The copied files alone, with the image's own environment, start the command line."""
    for copy in steps("COPY"):
        source, target = copy.split()
        place = tmp_path / target
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, place)
    settings = dict(pair.split("=", 1) for pair in shlex.split(" ".join(steps("ENV"))))
    settings["PYTHONPATH"] = settings["PYTHONPATH"].replace("/app", str(tmp_path))
    environment = {**os.environ, **settings}
    for arguments in (["check-config"], ["envoy-config"]):
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "gateway", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "0.0.0.0" in done.stdout

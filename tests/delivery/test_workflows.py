"""What GitHub is told: few rights, exact versions, and commands that exist."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway import __version__
from tests.support.command import ROOT

GITHUB = ROOT / ".github"
ZIZMOR = shutil.which("zizmor", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yaml"))


def workflow(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    return {{True: "on"}.get(key, key): value for key, value in yaml.safe_load(path.read_text()).items()}


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_a_workflow_has_few_rights_and_exact_versions(path: Path) -> None:
    """Reading is the default; a job that writes says what; nothing waits for ever."""
    read = workflow(path)
    assert read["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in read["on"]
    for name, job in read["jobs"].items():
        assert job["timeout-minutes"] <= 30, name
        assert re.fullmatch(r"ubuntu-\d\d\.04", job["runs-on"])
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w/-]+@(v\d+(\.\d+)*|[0-9a-f]{40})", step["uses"]), step
                if step["uses"].startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False
            else:
                assert "${{" not in step["run"], "a shell gets values by its environment, never pasted in"


@pytest.mark.skipif(ZIZMOR is None, reason="zizmor is not installed; `make test` installs it")
def test_the_linter_finds_nothing() -> None:
    """Zizmor knows how workflows are attacked; it asks nobody outside."""
    assert ZIZMOR is not None
    command = [ZIZMOR, "--offline", "--no-progress", "--config", str(GITHUB / "zizmor.yml"), str(GITHUB)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_exists() -> None:
    """Make targets, files of the repository."""
    text = "\n".join(path.read_text() for path in WORKFLOWS)
    targets = set(re.findall(r"run: make ([\w-]+)", text))

    assert {path.stem for path in WORKFLOWS} == {"ci", "image", "release", "security"}
    assert [target for target in targets if f"\n{target}:" not in (ROOT / "Makefile").read_text()] == []
    assert "run: .ci/run" in text
    assert (ROOT / ".ci/run").stat().st_mode & 0o100
    assert (ROOT / "requirements/run.lock").exists()


@pytest.mark.parametrize("path", sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_form_can_be_filled_in(path: Path) -> None:
    """GitHub shows a form only if it has a name, a description and fields with labels."""
    form = yaml.safe_load(path.read_text())
    if path.stem != "config":
        assert form["name"]
        assert form["description"]
        assert all(field["attributes"]["label"] for field in form["body"])


def test_the_changelog_has_this_version() -> None:
    """The release takes its notes from there."""
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()

"""A change of the contract that breaks callers does not pass, on a branch or on main."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import ROOT

Run = Callable[..., subprocess.CompletedProcess[str]]
MODEL = Path("proto/llmgateway/v1/model.proto")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a program in a repository of its own, whose main has the contract of today."""
    for name in ("proto", "tools", "buf.yaml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    environment = {
        **os.environ,
        **{f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        "GIT_CONFIG_GLOBAL": os.devnull,
    }

    def started(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50, check=False
        )

    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        assert started("git", *command).returncode == 0
    return started


@pytest.mark.parametrize("branch", ["main", "change"])
@pytest.mark.parametrize("breaks", [True, False], ids=["renamed field", "new field"])
def test_only_a_change_that_breaks_callers_fails(run: Run, tmp_path: Path, branch: str, breaks: bool) -> None:
    """JSON names are public too: renaming a field breaks, adding one does not."""
    if branch != "main":
        run("git", "checkout", "-q", "-b", branch)
    text = (tmp_path / MODEL).read_text()
    field = "string owned_by = "
    assert field in text
    changed = text.replace(field, "string owner = ") if breaks else text + "\n// New.\nmessage New {}\n"
    (tmp_path / MODEL).write_text(changed)
    run("git", "commit", "-q", "-a", "-m", "second")
    done = run(sys.executable, "tools/check_breaking.py")

    assert done.returncode == (1 if breaks else 0), done.stdout + done.stderr
    assert ("owned_by" in done.stdout) == breaks
    assert "no contract" not in done.stdout

"""Compares the contract with its previous version: ``python tools/check_breaking.py [--against REF]``.

Ends with status 1 and buf's list when a caller of the previous version would break. Without REF the previous
version is where this branch left main, or, on main itself, the commit before. Where there is none, nothing is
compared.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUF = Path(sysconfig.get_path("scripts")) / "buf"
TIMEOUT_S = 120.0
MAIN_BRANCHES = ("origin/main", "main")


def git(*arguments: str) -> bytes | None:
    """Gives what git prints, or None when it fails."""
    done = subprocess.run(
        ("git", *arguments),  # noqa: S607 - git is the one tool that belongs to the machine
        cwd=ROOT,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return None if done.returncode else done.stdout


def previous() -> str:
    """Names the commit to compare with; it may not exist."""
    head = git("rev-parse", "HEAD")
    for branch in MAIN_BRANCHES:
        base = git("merge-base", "HEAD", branch)
        if base and base != head:
            return base.decode().strip()
    return "HEAD~1"


def main() -> int:
    """Runs the command and gives its exit status."""
    parser = argparse.ArgumentParser(description="Compare the contract with its previous version.")
    parser.add_argument("--against", metavar="REF", help="the commit, branch or tag that holds the previous version")
    asked = parser.parse_args().against
    reference = asked or previous()
    files = git("archive", "--format=tar", reference, "buf.yaml", "proto")
    if files is None:
        print(f"{reference} has no contract to compare with.")
        return 1 if asked else 0
    with tempfile.TemporaryDirectory() as directory, tarfile.open(fileobj=io.BytesIO(files)) as archive:
        archive.extractall(Path(directory), filter="data")
        done = subprocess.run((BUF, "breaking", "--against", directory), cwd=ROOT, timeout=TIMEOUT_S, check=False)
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())

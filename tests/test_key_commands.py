"""The command line's keys: what it prints, and that running gateways follow."""

import asyncio
import io
from pathlib import Path

import pytest

from gateway.__main__ import main


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/gateway.db")


async def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = await asyncio.to_thread(main, arguments)  # a command has an event loop of its own
    printed = capsys.readouterr()
    return code, printed.out, printed.err


async def test_a_key_is_made_listed_rotated_and_disabled(capsys: pytest.CaptureFixture[str]) -> None:
    """The secret is printed when it is made, and by nothing else."""
    _, made, _ = await _run(
        capsys, "keys", "create", "--name", "alice", "--project", "team", "--spend-per-month", "10.00",
        "--model", "openai/gpt-*", "--expires-in-days", "30",
    )  # fmt: skip
    key, secret = (line.split()[1] for line in made.splitlines()[:2])
    _, listed, _ = await _run(capsys, "keys", "list")
    _, rotated, _ = await _run(capsys, "keys", "rotate", key, "--overlap-hours", "1")
    await _run(capsys, "keys", "limit-project", "team", "--requests-per-day", "5")
    await _run(capsys, "keys", "disable", key)
    _, after, _ = await _run(capsys, "keys", "list")

    assert secret.startswith("sk-gw-")
    assert key in listed
    assert all(word in listed for word in ("alice", "team", "openai/gpt-*", "10.00", "until"))
    assert "disabled" in after
    assert "sk-gw-" in rotated
    assert "sk-gw-" not in listed + after


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["keys", "disable", "key_no"], "no key 'key_no'", id="unknown key"),
        pytest.param(["keys", "create", "--name", "a", "--spend-per-month", "ten"], "spend_per_month", id="not money"),
        pytest.param(["keys", "create", "--name", "a", "--concurrent", "-1"], "concurrent", id="negative"),
        pytest.param(["provider-keys", "delete", "openai"], "no key of provider", id="no provider key"),
        pytest.param(["provider-keys", "set", "openai"], "standard input", id="empty input"),
    ],
)
async def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    """It goes to standard error, and the exit code tells it."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    code, out, err = await _run(capsys, *arguments)

    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1


async def test_provider_keys_move_to_a_new_master_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both keys set, everything is encrypted anew; then the new one is enough, and another one is refused."""
    monkeypatch.setattr("sys.stdin", io.StringIO("sk-canary\n"))
    monkeypatch.setenv("GATEWAY_MASTER_KEY", "old")
    await _run(capsys, "provider-keys", "set", "openai")
    monkeypatch.setenv("GATEWAY_MASTER_KEY", "new, old")
    code, out, _ = await _run(capsys, "provider-keys", "reencrypt")
    monkeypatch.setenv("GATEWAY_MASTER_KEY", "new")
    after, _, _ = await _run(capsys, "provider-keys", "delete", "openai")
    monkeypatch.setenv("GATEWAY_MASTER_KEY", "old")
    refused, _, err = await _run(capsys, "keys", "list")

    assert (code, out.split()[0], after, refused) == (0, "2", 0, 1)
    assert "GATEWAY_MASTER_KEY" in err


async def test_migrate_makes_the_database(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Twice is as good as once; the master key's file is its owner's alone."""
    assert [(await _run(capsys, "migrate"))[0] for _ in range(2)] == [0, 0]
    assert (tmp_path / "gateway.db").exists()
    assert (tmp_path / "gateway.db.key").stat().st_mode & 0o777 == 0o600

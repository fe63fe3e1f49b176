"""The command line's providers, prices and preferences: what it prints, and that it refuses what the API refuses."""

import asyncio
from pathlib import Path

import pytest

from gateway.__main__ import main


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/gateway.db")
    monkeypatch.setenv("ALLOWED_API_KEYS", "sk-configured")


async def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = await asyncio.to_thread(main, arguments)  # a command has an event loop of its own
    printed = capsys.readouterr()
    return code, printed.out, printed.err


async def _made(capsys: pytest.CaptureFixture[str]) -> str:
    _, made, _ = await _run(capsys, "keys", "create", "--name", "alice")
    return made.split()[1]


async def test_a_provider_is_set_listed_and_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    """Setting it again replaces all that is stored of it."""
    address = ("--base-url", "http://127.0.0.1:9/v1")
    _, first, _ = await _run(
        capsys, "providers", "set", "mine", "--kind", "openai", *address, "--model", "m", "--model", "n"
    )
    _, second, _ = await _run(capsys, "providers", "set", "mine", "--kind", "openai", *address, "--disabled")
    _, edited, _ = await _run(capsys, "providers", "set", "openai", "--no-stream-usage", "--max-output-tokens", "9")
    _, listed, _ = await _run(capsys, "providers", "list")
    code, _, _ = await _run(capsys, "providers", "delete", "mine")
    _, after, _ = await _run(capsys, "providers", "list")

    assert first == "mine  on  openai  http://127.0.0.1:9/v1  m, n  stored\n"
    assert second == "mine  disabled  openai  http://127.0.0.1:9/v1  -  stored\n"
    assert edited == "openai  on  openai  https://api.openai.com/v1  -  both\n"
    assert set(listed.splitlines()) >= {
        second.strip(),
        edited.strip(),
        "custom  on  custom  -  echo, embed  configuration",
    }
    assert code == 0
    assert "mine" not in after


async def test_a_price_is_set_listed_and_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    """In dollars, from a time on."""
    arguments = ("--input", "0.15", "--output", "0.6", "--cached-input", "0", "--from", "2026-01-31T00:00:00Z")
    _, made, _ = await _run(capsys, "prices", "set", "local/org/qwen", *arguments)
    price = made.split()[0]
    await _run(capsys, "prices", "set", "other/m", "--input", "1", "--output", "2", "--from", "2026-02-01")
    _, listed, _ = await _run(capsys, "prices", "list", "--provider", "local", "--model", "org/qwen")
    _, everything, _ = await _run(capsys, "prices", "list")
    code, _, _ = await _run(capsys, "prices", "delete", price)
    _, after, _ = await _run(capsys, "prices", "list")

    assert made == f"{price}  local/org/qwen  from 2026-01-31T00:00:00Z  input 0.15  output 0.60  cached-input 0.00\n"
    assert listed == made
    assert everything.splitlines()[1].endswith("other/m  from 2026-02-01T00:00:00Z  input 1.00  output 2.00")
    assert code == 0
    assert after == everything.splitlines(keepends=True)[1]


async def test_a_preference_is_set_listed_and_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    """For a stored key."""
    key = await _made(capsys)
    _, said, _ = await _run(capsys, "preferences", "set", key, "fast", "custom/echo")
    _, listed, _ = await _run(capsys, "preferences", "list", key)
    code, _, _ = await _run(capsys, "preferences", "delete", key, "fast")
    _, after, _ = await _run(capsys, "preferences", "list", key)

    assert said.startswith(f"fast means custom/echo for {key}")
    assert listed == "fast  custom/echo\n"
    assert (code, after) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param("providers set new", "'kind'", id="no kind"),
        pytest.param("providers set new --kind openai", "'base_url'", id="no address"),
        pytest.param("providers set new --kind openai --base-url ftp://127.0.0.1", "'base_url'", id="no HTTP"),
        pytest.param("providers set openai --key-source nobody", "'key_source'", id="wrong word"),
        pytest.param("providers delete openai", "Nothing is stored", id="nothing to forget"),
        pytest.param("prices set openai --input 1 --output 2", "'model'", id="no model"),
        pytest.param("prices set openai/m --input ten --output 2", "input: 'ten'", id="no money"),
        pytest.param("prices set openai/m --input 1 --output 1000001", "output: at most", id="too much"),
        pytest.param("prices set openai/m --input 1 --output 2 --from 1969-12-31", "'start_time'", id="too early"),
        pytest.param("prices delete price_none", "no stored price", id="unknown price"),
        pytest.param("preferences list key_none", "no key 'key_none'", id="unknown key"),
        pytest.param("preferences set KEY a/b custom/echo", "'name'", id="a whole name"),
        pytest.param("preferences delete KEY fast", "no preference", id="unknown preference"),
    ],
)
async def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], arguments: str, words: str) -> None:
    """It goes to standard error, and the exit code tells it."""
    key = await _made(capsys)
    code, out, err = await _run(capsys, *arguments.replace("KEY", key).split())

    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1


async def test_a_wrong_time_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """argparse says so, with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        await _run(capsys, "prices", "set", "openai/m", "--input", "1", "--output", "2", "--from", "soon")

    assert ended.value.code == 2
    assert "expected a time" in capsys.readouterr().err

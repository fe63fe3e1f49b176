"""Log lines: one JSON object each, or text for a terminal."""

import json
from collections.abc import Iterator

import pytest
import structlog

from gateway.config import TelemetrySettings
from gateway.telemetry.logs import configure_logs


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    """structlog's settings are put back afterwards."""
    kept = structlog.get_config()
    yield
    structlog.configure(**kept)


def test_a_line_is_one_json_object(capfd: pytest.CaptureFixture[str]) -> None:
    """Also with line breaks, an exception and a value that JSON does not know."""
    configure_logs(TelemetrySettings())
    log = structlog.get_logger("test")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("broken", odd={1, 2}.__class__)
    log.info("fine", text="ü\n")
    first, second = capfd.readouterr().err.splitlines()

    assert json.loads(first)["level"] == "error"
    assert "two\nlines" in json.loads(first)["exception"]
    assert json.loads(second)["text"] == "ü\n"
    assert json.loads(second)["time"].endswith("Z")


def test_lines_below_the_level_are_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    """`LOG_LEVEL`."""
    configure_logs(TelemetrySettings(log_level="warning"))
    log = structlog.get_logger("test")
    log.info("no")
    log.warning("yes")

    assert [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()] == ["yes"]


def test_a_console_gets_text(capfd: pytest.CaptureFixture[str]) -> None:
    """`LOG_FORMAT=console`, for people."""
    configure_logs(TelemetrySettings(log_format="console"))
    structlog.get_logger("test").info("hello", who="you")

    line = capfd.readouterr().err
    assert "hello" in line
    assert "who=you" in line

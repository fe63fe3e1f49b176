"""Log lines: one JSON object each, or text for a terminal."""

import asyncio
import datetime as dt
import io
import json
from collections.abc import Iterator
from select import PIPE_BUF
from typing import Any, BinaryIO, cast

import msgspec
import pytest
import structlog

from gateway.config import TelemetrySettings
from gateway.telemetry.access_line import AccessLine
from gateway.telemetry.logs import LineWriter, configure_logs

_LINE = AccessLine(
    request_id="r-1",
    trace_id=None,
    key_id="key-1",
    project_id=None,
    route="/v1/chat/completions",
    rpc="/llmgateway.v1.OpenAIService/ChatCompletions",
    edge="http",
    status="OK",
    http_status=200,
    provider="openai",
    model="ü",
    attempts=1,
    prompt_tokens=9,
    cached_tokens=0,
    completion_tokens=4,
    reasoning_tokens=0,
    cost_nano_usd=460_000,
    first_token_ms=None,
    total_ms=1.5,
)


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


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="answered"),
        pytest.param({"message": "two\nlines", "status": "INTERNAL", "http_status": 500}, id="failed"),
        pytest.param({"message": "no", "request_body": '{"a": "ü"}'}, id="with the prompt"),
    ],
)
def test_a_call_s_line_is_the_one_that_a_logger_writes(more: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    """To the byte, but for the time: that it goes past the loggers is only to be seen in its cost."""
    lines = configure_logs(TelemetrySettings())
    assert lines is not None
    line = msgspec.structs.replace(_LINE, **more)
    structlog.get_logger("test").info("request", **line.fields())
    lines.info(line.encoded())
    logged, direct = (text.rpartition(',"time":"') for text in capfd.readouterr().err.splitlines())

    assert direct[0] == logged[0]
    assert [dt.datetime.fromisoformat(time.removesuffix('"}')).utcoffset() for *_, time in (logged, direct)] == [
        dt.timedelta(0),
        dt.timedelta(0),
    ]


@pytest.mark.parametrize("told", [{"log_level": "warning"}, {"log_format": "console"}], ids=["level", "format"])
def test_only_json_of_level_info_has_a_way_past_the_loggers(told: dict[str, Any]) -> None:
    """Everything else they must see."""
    assert configure_logs(TelemetrySettings(**told)) is None


class _Recorder(io.RawIOBase):
    """A file that remembers each write that reaches it."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.writes.append(bytes(data))
        return len(data)


def test_a_write_holds_whole_lines_that_a_pipe_keeps_together() -> None:
    """Others write to the same pipe, and must not come between two halves of a line; one alone may be longer."""
    file = _Recorder()
    writer = LineWriter(cast("BinaryIO", io.BufferedWriter(file)))
    lines = [b"x" * length for length in (PIPE_BUF - 1, 1, *[500] * 30, 2 * PIPE_BUF, 7)]

    async def write() -> None:
        for line in lines:
            writer.info(line)
        assert file.writes == []
        writer.flush()

    asyncio.run(write())

    assert b"".join(file.writes) == b"".join(line + b"\n" for line in lines)
    assert all(written.endswith(b"\n") for written in file.writes)
    assert [len(written) for written in file.writes if len(written) > PIPE_BUF] == [2 * PIPE_BUF + 1]
    assert len(file.writes) < 10


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

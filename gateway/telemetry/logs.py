"""Structured logs: one JSON object a line on standard error, written in batches."""

import asyncio
import atexit
import sys
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from select import PIPE_BUF
from typing import Any, BinaryIO, Final

import msgspec
import structlog

from gateway.config import TelemetrySettings

REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id")
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def of_request() -> dict[str, str]:
    """Return the `request_id` of the call under way, for a line about it; nothing outside of calls.

    No line gets it by itself: work for all calls may have been started by one of them.
    """
    request_id = REQUEST_ID.get("")
    return {"request_id": request_id} if request_id else {}


def configure_logs(settings: TelemetrySettings) -> "LineWriter | None":
    """Set the process's log format and level. Return what takes JSON lines of level info, if such are logged."""
    lines: LineWriter | None = None
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    factory: Any
    if settings.log_format == "json":
        processors.append(structlog.processors.JSONRenderer(serializer=_encode))
        lines = LineWriter(sys.stderr.buffer)
        atexit.register(lines.flush)
        factory = lines.logger
    else:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
        factory = structlog.PrintLoggerFactory(file=sys.stderr)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level]),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    return lines if _LEVELS[settings.log_level] <= _LEVELS["info"] else None


class LineWriter:
    """Writes lines to a file in batches: a write for each one would be most of what a log line costs.

    A line waits at most `DELAY_S` while an event loop runs; without a loop, and from level warning on, it is written at
    once. A process that is killed loses what waits.
    """

    DELAY_S: Final = 0.1

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes] = []

    def logger(self, *_: Any) -> "LineWriter":
        """Return the object that structlog calls with each line, by the method of its level."""
        return self

    def info(self, line: bytes) -> None:
        self._waiting.append(line)
        if len(self._waiting) > 1:
            return
        try:
            asyncio.get_running_loop().call_later(self.DELAY_S, self.flush)
        except RuntimeError:
            self.flush()

    debug = info

    def warning(self, line: bytes) -> None:
        self._waiting.append(line)
        self.flush()

    error = critical = exception = warning

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        for piece in pieces(waiting):
            self._file.write(piece)
            self._file.flush()


def pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what to write at once of `lines`, which come without line breaks: as many as a pipe keeps together.

    Several processes write to the same pipe, and up to `PIPE_BUF` bytes no other comes in between.
    """
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) >= PIPE_BUF:
            yield piece
            piece = b""
        piece += line + b"\n"
    if piece:
        yield piece


def _encode(event: dict[str, Any], **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)

"""Closed-loop callers over HTTP/1.1 in a process of their own: `python -m bench.load '<Load as JSON>'`.

Each caller has one connection and sends its next request when the last answer is complete. Answers are checked: a
wrong status, a wrong number of events, a stream without its end or a lost connection is an error.
"""

import asyncio
import math
import random
import re
import socket
import string
import sys
import time
from collections.abc import Sequence
from typing import Final, cast

import msgspec
import uvloop

from bench import cpu
from bench.processes import ROOT

_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_ERRORS_KEPT: Final = 5
_PROMPT: Final = "Say what a gateway for language models should cost on the way through. " * 3
_WORDS: Final = 34
"""Of a varied prompt, which is about as long as the usual one."""


class Load(msgspec.Struct, frozen=True):
    """One measurement: `requests` in total from `callers` at once. `stagger_s` spreads the callers' first requests."""

    port: int
    model: str
    callers: int
    requests: int
    key: str = "none"
    path: str = "/v1/chat/completions"
    stream: bool = False
    events: int = 0  # expected in each stream, [DONE] included
    stagger_s: float = 0.0
    watch_pid: int = 0  # the process tree whose CPU is counted while the load runs; 0 = none
    deadline_s: float = 120.0
    varied: bool = False  # each request has a prompt of its own, so that an answer kept from an earlier one is no help


class Spread(msgspec.Struct, frozen=True):
    """Times in milliseconds."""

    p50: float
    p99: float
    mean: float


class Result(msgspec.Struct, frozen=True):
    """What one Load measured. `first_ms` is the time to the first byte of the body: a stream's first event."""

    requests: int
    errors: int
    error_samples: list[str]
    seconds: float
    latency_ms: Spread
    first_ms: Spread
    cpu_s: float
    rss_bytes: int


class Answer:
    """Reads one HTTP/1.1 response from packets; `feed` says whether it is complete."""

    def __init__(self) -> None:
        self.status = 0
        self.body = bytearray()
        self.first_at = 0.0
        self._raw = bytearray()
        self._left = -1  # bytes missing of the body, or of the HTTP chunk at hand with its line end
        self._chunked = False

    def feed(self, data: bytes) -> bool:
        self._raw += data
        if not self.status and not self._head():
            return False
        if self._chunked:
            done = self._chunks()
        else:
            self.body += self._raw
            self._raw.clear()
            done = len(self.body) >= self._left
        if self.body and not self.first_at:
            self.first_at = time.perf_counter()
        return done

    def _head(self) -> bool:
        end = self._raw.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._raw[:end])
        del self._raw[: end + 4]
        self.status = int(head[9:12])
        self._chunked = _CHUNKED.search(head) is not None
        length = _LENGTH.search(head)
        self._left = int(length[1]) if length else 0
        return True

    def _chunks(self) -> bool:
        raw, at = self._raw, 0
        while (line := raw.find(b"\r\n", at)) >= 0:
            size = int(raw[at:line].partition(b";")[0], 16)
            end = line + 2 + size + 2
            if len(raw) < end:
                break
            if not size:
                return True
            self.body += raw[line + 2 : end - 2]
            at = end
        del raw[:at]
        return False


class _Run:
    """The state that all callers share."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.left = load.requests
        self.open = load.callers
        self.latency: list[float] = []
        self.first: list[float] = []
        self.errors: list[str] = []
        self.error_count = 0
        self.finished = asyncio.get_running_loop().create_future()
        self.requests = _varied(load) if load.varied else [_request(load, _PROMPT)] * load.requests

    def check(self, answer: Answer) -> str:
        """What is wrong with a complete answer, or nothing."""
        if answer.status != 200:
            return f"status {answer.status}: {bytes(answer.body[:300])!r}"
        if not self.load.stream:
            return "" if answer.body.rstrip().endswith(b"}") else f"not a JSON object: {bytes(answer.body[:300])!r}"
        if not answer.body.endswith(b"data: [DONE]\n\n"):
            return f"a stream without its end: {bytes(answer.body[-300:])!r}"
        events = answer.body.count(b"data: ")
        return "" if events == self.load.events else f"{events} events instead of {self.load.events}"

    def fail(self, text: str) -> None:
        self.error_count += 1
        if len(self.errors) < _ERRORS_KEPT:
            self.errors.append(text)

    def caller_ended(self) -> None:
        self.open -= 1
        if not self.open and not self.finished.done():
            self.finished.set_result(None)


class _Caller(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._answer: Answer | None = None
        self._started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, not a subclass
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self) -> None:
        if not self._run.left or self._run.error_count > _ERRORS_KEPT or self._transport.is_closing():
            self._transport.close()
            return
        self._run.left -= 1
        self._answer = Answer()
        self._started = time.perf_counter()
        self._transport.write(self._run.requests[self._run.left])

    def data_received(self, data: bytes) -> None:
        if self._answer is None or not self._answer.feed(data):
            return
        now = time.perf_counter()
        answer, self._answer = self._answer, None
        if problem := self._run.check(answer):
            self._run.fail(problem)
        else:
            self._run.latency.append(now - self._started)
            self._run.first.append(answer.first_at - self._started)
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._run.fail(f"connection lost before the answer was complete: {exc}")
        self._run.caller_ended()


def _varied(load: Load) -> list[bytes]:
    """Return requests for pieces of running text, each with a word that no other has."""
    text = " ".join(path.read_text("utf-8") for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))).split()
    starts = random.Random(1).choices(range(len(text) - _WORDS), k=load.requests)  # needs no secrecy
    number = time.time_ns() % 10**9
    return [
        _request(load, " ".join((word(number + at), *text[start : start + _WORDS]))) for at, start in enumerate(starts)
    ]


def word(number: int) -> str:
    """Return a word of small letters, another one for each number."""
    letters = ""
    while number:
        number, letter = divmod(number, 26)
        letters += string.ascii_lowercase[letter]
    return letters


def _request(load: Load, prompt: str) -> bytes:
    body: dict[str, object] = {
        "model": load.model,
        "messages": [
            {"role": "system", "content": "You answer in one sentence and never apologise."},
            {"role": "user", "content": prompt},
        ],
        "temperature": 0.2,
        "max_tokens": 128,
    }
    if load.stream:
        body["stream"] = True
    data = msgspec.json.encode(body)
    head = (
        f"POST {load.path} HTTP/1.1\r\nhost: 127.0.0.1:{load.port}\r\nauthorization: Bearer {load.key}\r\n"
        f"content-type: application/json\r\naccept: application/json\r\nuser-agent: bench\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


async def drive(load: Load) -> Result:
    """Connect every caller, then measure. Raises TimeoutError past the load's deadline."""
    loop = asyncio.get_running_loop()
    run = _Run(load)
    async with asyncio.timeout(load.deadline_s):
        callers = [
            (await loop.create_connection(lambda: _Caller(run), "127.0.0.1", load.port))[1] for _ in range(load.callers)
        ]
        before = cpu.usage(load.watch_pid) if load.watch_pid else cpu.Usage(0.0, 0)
        started = time.perf_counter()
        for number, caller in enumerate(callers):
            loop.call_later(load.stagger_s * number / load.callers, caller.send)
        await run.finished
        seconds = time.perf_counter() - started
        after = cpu.usage(load.watch_pid) if load.watch_pid else before
    return Result(
        requests=len(run.latency),
        errors=run.error_count,
        error_samples=run.errors,
        seconds=seconds,
        latency_ms=spread(run.latency),
        first_ms=spread(run.first),
        cpu_s=after.cpu_s - before.cpu_s,
        rss_bytes=after.rss_bytes,
    )


def spread(seconds: Sequence[float]) -> Spread:
    """Nearest-rank percentiles of times in seconds, as milliseconds."""
    if not seconds:
        return Spread(0.0, 0.0, 0.0)
    ordered = sorted(seconds)
    p50, p99 = (ordered[math.ceil(len(ordered) * share) - 1] * 1000 for share in (0.5, 0.99))
    return Spread(p50, p99, sum(ordered) / len(ordered) * 1000)


def main() -> None:
    load = msgspec.json.decode(sys.argv[1].encode(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(drive(load))))


if __name__ == "__main__":
    main()

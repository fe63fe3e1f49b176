"""Ten thousand callers that begin and never end: nobody else notices, and the memory comes back."""

import asyncio
import os
import resource
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest

from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.gateway_process import GatewayProcess, chat, running_gateway
from tests.support.grpc_chat import request
from tests.support.raw_http2 import END_HEADERS, HEADERS, PREFACE, SETTINGS, frame, grpc_headers
from tests.support.stack import AUTH

pytestmark = pytest.mark.timeout(180)
HOST = "127.0.0.1"
WANTED = 10_000
OWN_FILES = 500
"""What a process needs of its file descriptors for anything else."""
ENVOY_BYTES = 64 * 1024
"""A slow connection costs Envoy at most this."""
WORKER_BYTES = 64 * 1024
"""A half-open call on its own port costs a worker at most this."""
ANSWER_S = 40
MEMORY_S = 600
CALL = frame(HEADERS, grpc_headers("/llmgateway.v1.ChatService/StreamChatCompletion"), flags=END_HEADERS, stream=1)
BEGINNINGS = {
    "nothing at all": b"",
    "half of the headers": b"GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: ",
    "half of a body": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{",
    "half-open stream": PREFACE + frame(SETTINGS) + CALL,
    "half-open reflection": PREFACE
    + frame(SETTINGS)
    + frame(
        HEADERS,
        grpc_headers("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
        flags=END_HEADERS,
        stream=1,
    ),
}


@pytest.fixture(scope="module")
def connections() -> Iterator[int]:
    """How many: 10,000, or what the hard limit of open files lets one process have, here as in Envoy and the worker."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = hard if hard != resource.RLIM_INFINITY else WANTED + OWN_FILES
    count = min(WANTED, files - OWN_FILES)
    if count < 1000:
        pytest.skip(f"the hard limit of open files is {hard}: too few for this")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(count + OWN_FILES, soft), hard))  # the gateway inherits it
    yield count
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
async def gateway(connections: int, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    """The gateway as `run` starts it, after some ordinary calls."""
    async with running_gateway(tmp_path_factory.mktemp("slow")) as running:
        for _ in range(20):
            await ask(running)
        yield running


async def ask(gateway: GatewayProcess) -> None:
    """Ask as ordinary callers do, through Envoy and at the worker's own port."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as http,
        chat(http, gateway.url, "still here") as answer,
    ):
        assert answer.status == 200, await answer.text()
    async with grpc.aio.insecure_channel(f"{HOST}:{gateway.grpc_port}") as channel:
        stub: Any = ChatServiceStub(channel)
        call = stub.StreamChatCompletion(request("custom/echo"), metadata=AUTH, timeout=ANSWER_S)
        assert [message async for message in call]


async def ask_until_answered(gateway: GatewayProcess) -> None:
    """Ask as a client that retries what it may retry: 503 with `Retry-After`, and UNAVAILABLE."""
    async with asyncio.timeout(ANSWER_S), aiohttp.ClientSession() as http:
        while True:
            async with chat(http, gateway.url, "still here") as answer:
                if answer.status == 200:
                    break
                assert (answer.status, "retry-after" in answer.headers) == (503, True)
    await ask(gateway)


@asynccontextmanager
async def held(port: int, beginning: bytes, count: int) -> AsyncIterator[list[socket.socket]]:
    """Hold so many connections, each with the beginning of a request; then vanish without goodbye."""
    loop = asyncio.get_running_loop()
    sockets = []
    try:
        for _ in range(count):
            connection = socket.socket()
            sockets.append(connection)
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close is a reset
            await loop.sock_connect(connection, (HOST, port))
            with suppress(ConnectionError):  # one that is refused counts as well
                await loop.sock_sendall(connection, beginning)
        yield sockets
    finally:
        for connection in sockets:
            connection.close()


def fate(connection: socket.socket) -> str:
    """Whether the connection is `open`, or why it is not."""
    try:
        said = connection.recv(64, socket.MSG_PEEK)
    except BlockingIOError:
        return "open"
    except ConnectionError:
        return "reset"
    if said.startswith(b"HTTP/1.1 "):
        return said[9:12].decode()
    return "open" if said else "closed"


def processes(gateway: GatewayProcess) -> dict[str, int]:
    """The pids of the supervisor, its worker and Envoy."""
    parent = gateway.process.pid
    children = {int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()}
    (worker,) = gateway.worker_pids()
    (envoy,) = children - {worker}
    return {"supervisor": parent, "worker": worker, "envoy": envoy}


def memory(pid: int) -> int:
    """The resident memory of a process, in bytes."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


async def until_dropped(pid: int, files: int) -> None:
    """Return when the process has about as few files open as before."""
    async with asyncio.timeout(ANSWER_S):
        while open_files(pid) > files + 50:  # noqa: ASYNC110  # the kernel tells nobody
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("beginning", BEGINNINGS)
async def test_slow_callers_of_the_public_port_harm_nobody(
    gateway: GatewayProcess, connections: int, beginning: str
) -> None:
    """Others are answered at once; the worker never hears of the slow ones, and each costs Envoy little.

    All are let in. Those whose time is over are told so: headers have ten seconds, which a busy machine may need for
    all of them.
    """
    pids = processes(gateway)
    before = {name: memory(pid) for name, pid in pids.items()}
    files = {name: open_files(pid) for name, pid in pids.items()}
    async with held(gateway.port, BEGINNINGS[beginning], connections) as slow:
        await ask(gateway)
        assert {fate(each) for each in slow} <= {"open", "408"}
        used = {name: memory(pid) for name, pid in pids.items()}
    await until_dropped(pids["envoy"], files["envoy"])
    await ask(gateway)

    assert processes(gateway) == pids
    assert used["worker"] + used["supervisor"] < 1.1 * (before["worker"] + before["supervisor"])
    assert used["envoy"] - before["envoy"] < connections * ENVOY_BYTES


async def test_slow_callers_of_the_workers_own_port_harm_nobody(gateway: GatewayProcess, connections: int) -> None:
    """While they rush in, others may be refused with a word to retry, for gRPC lets 1,000 to 3,000 new calls wait.

    Then all are served, and three waves need no more memory than is allowed for one.
    """
    pids = processes(gateway)
    before, files = memory(pids["worker"]), open_files(pids["worker"])
    for _ in range(3):
        async with held(gateway.grpc_port, BEGINNINGS["half-open stream"], connections):
            await ask_until_answered(gateway)
        await until_dropped(pids["worker"], files)
        await ask_until_answered(gateway)

    assert processes(gateway) == pids
    assert memory(pids["worker"]) - before < connections * WORKER_BYTES


async def test_too_many_connections_for_the_open_files_are_refused(tmp_path: Path) -> None:
    """Below MAX_CONNECTIONS the hard limit decides: who comes too late is hung up on and does not wait in vain."""
    async with running_gateway(tmp_path, open_files=600) as gateway:
        await ask(gateway)
        async with held(gateway.port, BEGINNINGS["half of the headers"], 1000):
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as http:
                with pytest.raises(aiohttp.ClientConnectionError):
                    await chat(http, gateway.url, "one too many")
            assert open_files(processes(gateway)["envoy"]) < 600
        async with asyncio.timeout(ANSWER_S):
            while True:
                with suppress(aiohttp.ClientConnectionError):
                    await ask(gateway)
                    break


@pytest.mark.skipif("LONG_PROOF" not in os.environ, reason="waits ten minutes; `make test-long` runs it")
@pytest.mark.timeout(MEMORY_S + 120)
@pytest.mark.parametrize("beginning", ["nothing at all", "half of the headers", "half of a body"])
async def test_the_memory_comes_back(connections: int, tmp_path: Path, beginning: str) -> None:
    """Of all processes together, to within 10 %, when it is quiet. Envoy's allocator takes five minutes to be sure.

    After half-open streams it keeps more than that for over ten minutes, though nothing is in use any more.
    """
    async with running_gateway(tmp_path) as gateway:
        for _ in range(20):
            await ask(gateway)
        pids = processes(gateway).values()
        before = sum(memory(pid) for pid in pids)
        async with held(gateway.port, BEGINNINGS[beginning], connections):
            await ask(gateway)
        async with asyncio.timeout(MEMORY_S):
            while sum(memory(pid) for pid in pids) > 1.1 * before:  # noqa: ASYNC110  # the kernel tells nobody
                await asyncio.sleep(1)
        await ask(gateway)

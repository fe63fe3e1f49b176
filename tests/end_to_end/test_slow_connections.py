"""Ten thousand callers that begin and never end: nobody else notices, and the memory comes back."""

import asyncio
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
from tests.support.raw_http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame, grpc_headers
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
KEPT_BYTES = 16 * 1024
"""What a worker keeps at most of each call of its busiest moment: little, but it lies in pages of its own."""
ANSWER_S = 40
MEMORY_S = 25
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
HONEST = (
    PREFACE
    + frame(SETTINGS)
    + frame(HEADERS, grpc_headers("/llmgateway.v1.SystemService/Live"), flags=END_HEADERS, stream=1)
)
REST = frame(DATA, bytes(5), flags=END_STREAM, stream=1)
"""With it an honest call is whole."""
WORDS = 40
SLOWLY = "providers: {custom: {chunk_delay_s: 0.05}}"


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
    async with running_gateway(tmp_path_factory.mktemp("slow"), yaml=SLOWLY) as running:
        for _ in range(20):
            await ask(running)
        yield running


@pytest.fixture(scope="module")
async def rested(gateway: GatewayProcess) -> int:
    """The memory of all processes after ordinary calls."""
    return sum(memory(pid) for pid in processes(gateway).values())


@pytest.fixture(scope="module")
async def crowded(gateway: GatewayProcess, connections: int) -> int:
    """The memory of a worker that has had as many callers at a time before, honest ones; what it keeps is bounded.

    128 bytes stay in use for each connection of its busiest moment, each holds a page, and later ones use them again.
    So the first ten thousand connections of a worker's life cost some 100 MB, whatever they do.
    """
    (worker,) = gateway.worker_pids()
    most = memory(worker) + connections * KEPT_BYTES
    async with held(gateway.grpc_port, HONEST, connections) as callers:
        for caller in callers:
            with suppress(ConnectionError):  # refused, as it may be while they rush in
                caller.send(REST)
        for caller in callers:
            await answered(caller)
    await until_at_most(most, gateway, worker)
    return memory(worker)


async def answered(caller: socket.socket) -> None:
    """Return when the status of its call is there, or it is hung up on."""
    said = bytearray()
    with suppress(ConnectionError):
        async with asyncio.timeout(ANSWER_S):
            while b"grpc-status" not in said:
                data = await asyncio.get_running_loop().sock_recv(caller, 65536)
                if not data:
                    return
                said += data


async def until_at_most(limit: float, gateway: GatewayProcess, *pids: int) -> None:
    """Return when the processes together have no more memory than that; fail when that takes too long.

    Ordinary callers come all the while: Envoy's allocator gives back what is free when it is asked for more.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + MEMORY_S
    while sum(memory(pid) for pid in pids) > limit:
        each = {pid: memory(pid) >> 20 for pid in pids}
        assert loop.time() < ends, f"{each} MiB are in use after {MEMORY_S} s, {int(limit) >> 20} are allowed"
        await ask(gateway)
        await asyncio.sleep(0.2)


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


@asynccontextmanager
async def running_call(gateway: GatewayProcess, port: int) -> AsyncIterator[None]:
    """Have a call run all the while, whose answer has to be whole."""
    async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
        stub: Any = ChatServiceStub(channel)
        words = " ".join(map(str, range(WORDS)))
        call = stub.StreamChatCompletion(request("custom/echo", words), metadata=AUTH, timeout=2 * ANSWER_S)
        messages = aiter(call)
        await anext(messages)
        yield
        assert len([message async for message in messages]) >= WORDS


@pytest.mark.parametrize("beginning", BEGINNINGS)
async def test_slow_callers_of_the_public_port_harm_nobody(
    gateway: GatewayProcess, rested: int, connections: int, beginning: str
) -> None:
    """Others are answered at once; the worker never hears of the slow ones, and the memory comes back.

    All are let in. Those whose time is over are told so: headers have ten seconds, which a busy machine may need for
    all of them. When they have gone, the memory of all processes is within 10 % of what it was before the first wave.
    """
    pids = processes(gateway)
    before = {name: memory(pid) for name, pid in pids.items()}
    files = {name: open_files(pid) for name, pid in pids.items()}
    async with running_call(gateway, gateway.port):
        async with held(gateway.port, BEGINNINGS[beginning], connections) as slow:
            await ask(gateway)
            assert {fate(each) for each in slow} <= {"open", "408"}
            used = {name: memory(pid) for name, pid in pids.items()}
        await until_dropped(pids["envoy"], files["envoy"])
        await ask(gateway)

    assert processes(gateway) == pids
    assert used["worker"] + used["supervisor"] < 1.1 * (before["worker"] + before["supervisor"])
    assert used["envoy"] - before["envoy"] < connections * ENVOY_BYTES
    await until_at_most(1.1 * rested, gateway, *pids.values())


@pytest.mark.parametrize("beginning", ["nothing at all", "half-open stream", "half-open reflection"])
async def test_slow_callers_of_the_workers_own_port_harm_nobody(
    gateway: GatewayProcess, crowded: int, connections: int, beginning: str
) -> None:
    """While they rush in, others may be refused with a word to retry, for gRPC lets 1,000 to 3,000 new calls wait.

    When they have gone, the worker's memory is within 10 % of what it was after as many honest callers.
    """
    pids = processes(gateway)
    files = open_files(pids["worker"])
    async with running_call(gateway, gateway.grpc_port):
        async with held(gateway.grpc_port, BEGINNINGS[beginning], connections):
            await ask_until_answered(gateway)
            used = memory(pids["worker"])
        await until_dropped(pids["worker"], files)
        await ask_until_answered(gateway)

    assert processes(gateway) == pids
    assert used - crowded < connections * WORKER_BYTES
    await until_at_most(1.1 * crowded, gateway, pids["worker"])


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

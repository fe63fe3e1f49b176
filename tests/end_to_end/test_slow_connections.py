"""Ten thousand callers that begin and never end: nobody else notices, and the memory comes back."""

import asyncio
import resource
import socket
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
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
from tests.support.vendor import Stream, Vendor, chat_stream, running_vendor, sse

pytestmark = pytest.mark.timeout(180)
HOST = "127.0.0.1"
WANTED = 10_000
OWN_FILES = 500
"""What a process needs of its file descriptors for anything else."""
ENVOY_BYTES = 64 * 1024
"""A slow connection costs Envoy at most this."""
WORKER_BYTES = 64 * 1024
"""A half-open call on its own port costs a worker at most this."""
TURNED_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
"""What gRPC answers, a bare server as well, when too many calls wait for it."""
ANSWER_S = 40
MEMORY_S = 40
GROWTH = 1.1
STILL_S = 6
"""Several looks at a process long."""
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
TEXTS = [str(number) for number in range(40)]


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
async def slow_vendor() -> AsyncIterator[Vendor]:
    """A provider that streams when a test says so."""
    async with running_vendor() as vendor:
        yield vendor


@pytest.fixture(scope="module")
async def gateway(
    connections: int, slow_vendor: Vendor, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[GatewayProcess]:
    """The gateway as `run` starts it."""
    environment = {"OPENAI_API_KEY": "sk-vendor", "OPENAI_BASE_URL": slow_vendor.url + "/v1"}
    async with running_gateway(tmp_path_factory.mktemp("slow"), environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
async def rested(gateway: GatewayProcess) -> Mapping[str, int]:
    """The memory of each process after some ordinary calls, before any crowd."""
    for _ in range(20):
        await ask(gateway)
    return {name: memory(pid) for name, pid in processes(gateway).items()}


async def until_at_most(limit: float, gateway: GatewayProcess, *, others: bool, workers_only: bool = False) -> None:
    """Return when all its processes together have no more memory than that; fail when that takes too long.

    With `others`, ordinary callers come all the while. Without, nobody does.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + MEMORY_S
    while sum((each := memories(gateway, workers_only=workers_only)).values()) > limit:
        shown = {pid: used >> 20 for pid, used in each.items()}
        assert loop.time() < ends, f"{shown} MiB are in use after {MEMORY_S} s, {int(limit) >> 20} are allowed"
        if others:
            await ask(gateway)
        await asyncio.sleep(0.2)


def memories(gateway: GatewayProcess, *, workers_only: bool) -> dict[int, int]:
    """The memory of each process that there is just now: of one that is being replaced there are two."""
    found = {}
    for pid in gateway.worker_pids() if workers_only else (gateway.process.pid, *children(gateway)):
        with suppress(FileNotFoundError, ProcessLookupError, KeyError):  # it ends
            found[pid] = memory(pid)
    return found


async def ask(gateway: GatewayProcess) -> None:
    """Ask as ordinary callers do, through Envoy and at the worker's own port."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as http,
        chat(http, gateway.url, "still here") as answer,
    ):
        assert answer.status == 200, await answer.text()
    await ask_by_stub(gateway)


async def ask_by_stub(gateway: GatewayProcess) -> None:
    async with grpc.aio.insecure_channel(f"{HOST}:{gateway.grpc_port}") as channel:
        stub: Any = ChatServiceStub(channel)
        call = stub.StreamChatCompletion(request("custom/echo"), metadata=AUTH, timeout=ANSWER_S)
        assert [message async for message in call]


async def ask_until_answered(gateway: GatewayProcess) -> None:
    """Ask as a client that retries: 503 with `Retry-After`, and what gRPC itself turns away."""
    async with asyncio.timeout(ANSWER_S), aiohttp.ClientSession() as http:
        while True:
            async with chat(http, gateway.url, "still here") as answer:
                if answer.status == 200:
                    break
                assert (answer.status, "retry-after" in answer.headers) == (503, True)
        while True:
            try:
                await ask_by_stub(gateway)
                break
            except grpc.aio.AioRpcError as refused:
                if refused.code() not in TURNED_AWAY:
                    raise


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
    (worker,) = gateway.worker_pids()
    (envoy,) = children(gateway) - {worker}
    return {"supervisor": gateway.process.pid, "worker": worker, "envoy": envoy}


def children(gateway: GatewayProcess) -> set[int]:
    parent = gateway.process.pid
    return {int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()}


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
async def running_calls(vendor: Vendor, *ports: int) -> AsyncIterator[None]:
    """Have a stream run at each port all the while, which has to come whole."""
    go_on = asyncio.Event()
    first, *others = chat_stream(*TEXTS)
    vendor.script(Stream([sse(first, done=False), go_on, sse(*others)]))
    async with AsyncExitStack() as stack:
        running = []
        for port in ports:
            stub: Any = ChatServiceStub(await stack.enter_async_context(grpc.aio.insecure_channel(f"{HOST}:{port}")))
            call = stub.StreamChatCompletion(request("openai/gpt-test"), metadata=AUTH, timeout=4 * ANSWER_S)
            messages = aiter(call)
            await anext(messages)
            running.append(messages)
        yield
        go_on.set()
        for messages in running:
            received = [message async for message in messages]
            texts = [choice.delta.content for message in received for choice in message.chunk.choices]
            assert [text for text in texts if text] == TEXTS


@asynccontextmanager
async def ready_throughout(gateway: GatewayProcess) -> AsyncIterator[None]:
    """Look at `/readyz` all the while, as a load balancer does; it never says no."""
    over = asyncio.Event()

    async def look() -> set[int]:
        seen = set()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as http:
            while not over.is_set():
                async with http.get(gateway.url + "/readyz") as answer:
                    seen.add(answer.status)
                await asyncio.sleep(0.05)
        return seen

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        over.set()
        seen = await looking
    assert seen == {200}


async def replacements(gateway: GatewayProcess) -> str:
    """Return the line on the metrics page that tells how often another process was put in the worker's place."""
    async with aiohttp.ClientSession() as http, http.get(gateway.metrics_url) as answer:
        page = await answer.text()
    return next(line for line in page.splitlines() if line.startswith("llmgateway_worker_replacements_total{"))


async def until_replaced(gateway: GatewayProcess, before: str, worker: int, limit: float) -> None:
    """Return when another process is in the worker's place, or when it has given back enough by itself."""
    async with asyncio.timeout(MEMORY_S):
        while await replacements(gateway) == before and memory(worker) > limit:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.5)


@pytest.mark.parametrize("others", [False, True], ids=["then silence", "others call"])
@pytest.mark.parametrize("beginning", BEGINNINGS)
async def test_slow_callers_of_the_public_port_harm_nobody(
    gateway: GatewayProcess,
    slow_vendor: Vendor,
    rested: Mapping[str, int],
    connections: int,
    beginning: str,
    *,
    others: bool,
) -> None:
    """Others are answered at once; the worker never hears of the slow ones, and the memory comes back.

    All are let in. Those whose time is over are told so: headers have ten seconds, which a busy machine may need for
    all of them. When they have gone, the memory of all processes is within 10 % of what it was before the first crowd.
    """
    pids = processes(gateway)
    before = {name: memory(pid) for name, pid in pids.items()}
    files = {name: open_files(pid) for name, pid in pids.items()}
    async with running_calls(slow_vendor, gateway.port):
        async with held(gateway.port, BEGINNINGS[beginning], connections) as slow:
            await ask(gateway)
            assert {fate(each) for each in slow} <= {"open", "408"}
            used = {name: memory(pid) for name, pid in pids.items()}
        await until_dropped(pids["envoy"], files["envoy"])
        await ask(gateway)

    assert processes(gateway) == pids
    assert used["worker"] + used["supervisor"] < GROWTH * (before["worker"] + before["supervisor"])
    assert used["envoy"] - before["envoy"] < connections * ENVOY_BYTES
    await until_at_most(GROWTH * sum(rested.values()), gateway, others=others)


@pytest.mark.parametrize("beginning", ["half of a body", "half-open stream"])
async def test_memory_of_a_crowd_that_sat_still_comes_back(
    gateway: GatewayProcess, rested: Mapping[str, int], connections: int, beginning: str
) -> None:
    """Envoy is quiet while it has them, and is asked for memory then, which is in use; it is asked again later."""
    envoy = processes(gateway)["envoy"]
    files = open_files(envoy)
    async with held(gateway.port, BEGINNINGS[beginning], connections):
        await asyncio.sleep(STILL_S)
    await until_dropped(envoy, files)
    await until_at_most(GROWTH * sum(rested.values()), gateway, others=False)


@pytest.mark.parametrize(
    ("beginning", "others"),
    [
        pytest.param("nothing at all", False, id="nothing at all, then silence"),
        pytest.param("half-open stream", False, id="half-open stream, then silence"),
        pytest.param("half-open reflection", True, id="half-open reflection, others call"),
    ],
)
async def test_slow_callers_of_the_workers_own_port_harm_nobody(
    gateway: GatewayProcess,
    slow_vendor: Vendor,
    rested: Mapping[str, int],
    connections: int,
    beginning: str,
    *,
    others: bool,
) -> None:
    """While they rush in, others may be turned away, for gRPC lets 1,000 to 3,000 new calls wait.

    When they have gone, a new process takes the worker's place if it cannot give back enough. Nobody notices: streams
    come whole, and the gateway is ready throughout. The memory is within 10 % of what it was before the first crowd.
    """
    pids = processes(gateway)
    files, limit = open_files(pids["worker"]), GROWTH * rested["worker"]
    before = await replacements(gateway)
    async with AsyncExitStack() as watching:
        async with running_calls(slow_vendor, gateway.port, gateway.grpc_port):
            async with held(gateway.grpc_port, BEGINNINGS[beginning], connections):
                await ask_until_answered(gateway)
                used = memory(pids["worker"])
            await until_dropped(pids["worker"], files)
            await ask_until_answered(gateway)
            if others:
                await watching.enter_async_context(ready_throughout(gateway))
            await until_replaced(gateway, before, pids["worker"], limit)

        assert used - rested["worker"] < connections * WORKER_BYTES
        await until_at_most(limit, gateway, others=others, workers_only=True)
    for _ in range(20):
        await ask(gateway)
    await until_at_most(limit, gateway, others=others, workers_only=True)
    assert {**processes(gateway), "worker": pids["worker"]} == pids
    assert "worker ended by itself" not in {event["event"] for event in gateway.events}


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

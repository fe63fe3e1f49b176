"""gRPC's wake-ups are read together."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import grpc.aio
import pytest

from gateway import wake_ups
from gateway.wake_ups import EventLoop, read_together

CALLS = 20


@pytest.mark.parametrize("rung", [1, 2, 1000])
def test_one_byte_is_left(rung: int) -> None:
    """The reader takes it, and with it all that belongs to the others."""
    bell, ringer = socket.socketpair()
    with bell, ringer:
        bell.setblocking(False)
        taken: list[tuple[str, bytes]] = []
        handle = read_together(bell, lambda what: taken.append((what, bell.recv(rung + 1))))
        ringer.send(bytes(rung))
        handle("events")

    assert taken == [("events", b"\0")]


def test_grpcs_reader_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name that it has in the locked version, once for a loop; calls are answered."""
    found: list[Any] = []

    def counted(bell: socket.socket, handle: Callable[..., Any]) -> Callable[..., Any]:
        found.append(handle)
        return read_together(bell, handle)

    monkeypatch.setattr(wake_ups, "read_together", counted)

    async def answer(request: bytes, _: object) -> bytes:
        return request

    async def talk() -> list[bytes]:
        server = grpc.aio.server()
        handler: Any = grpc.unary_unary_rpc_method_handler(answer)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Echo", {"Say": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            say: Any = channel.unary_unary("/Echo/Say")
            said = await asyncio.gather(*(say(bytes([number]), timeout=20) for number in range(CALLS)))
        await server.stop(None)
        return said

    with asyncio.Runner(loop_factory=EventLoop) as runner:
        said = runner.run(talk())

    assert said == [bytes([number]) for number in range(CALLS)]
    assert len(found) == 1


def test_other_readers_are_left_alone() -> None:
    """They are called as they are."""
    here, there = socket.socketpair()

    async def read() -> bytes:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(here, ready.set_result, b"there")
        there.send(b"12")
        try:
            return await asyncio.wait_for(ready, 20)
        finally:
            loop.remove_reader(here)

    with here, there, asyncio.Runner(loop_factory=EventLoop) as runner:
        assert runner.run(read()) == b"there"
        assert here.recv(10) == b"12"

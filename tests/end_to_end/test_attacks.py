"""Shapes that only an attacker sends: the gateway refuses them and lives on."""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc.aio
import pytest

from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.gateway_process import GatewayProcess, chat, running_gateway
from tests.support.grpc_chat import request
from tests.support.raw_http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    frames,
    grpc_headers,
)
from tests.support.stack import AUTH

LIMIT_S = 30
HOST = "127.0.0.1"
STREAM_CHAT = "/llmgateway.v1.ChatService/StreamChatCompletion"


@pytest.fixture(scope="module")
async def attacked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    """The gateway as `run` starts it: processes of its own, whose memory can be read."""
    directory = tmp_path_factory.mktemp("attacked")
    environment = {"DATABASE_URL": f"sqlite:///{directory}/gateway.db", "REQUEST_READ_TIMEOUT_S": "2"}
    async with running_gateway(directory, environment=environment) as gateway:
        yield gateway


async def assert_alive(gateway: GatewayProcess, pids: list[int]) -> None:
    """Both ports serve, by the same processes as before."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as http,
        chat(http, gateway.url, "still here") as answer,
    ):
        assert answer.status == 200
    async with grpc.aio.insecure_channel(f"{HOST}:{gateway.grpc_port}") as channel:
        stub: Any = ChatServiceStub(channel)
        call = stub.StreamChatCompletion(request("custom/echo"), metadata=AUTH, timeout=LIMIT_S)
        assert [message async for message in call]
    assert gateway.worker_pids() == pids
    assert gateway.process.returncode is None


async def said(port: int, *packets: bytes) -> bytes:
    """Send these packets; return all that comes back until the peer hangs up."""
    reader, writer = await asyncio.open_connection(HOST, port)
    received = bytearray()
    try:
        async with asyncio.timeout(LIMIT_S):
            for packet in packets:
                writer.write(packet)
                await writer.drain()
            while data := await reader.read(65536):
                received += data
    except ConnectionError:
        pass
    finally:
        writer.close()
    return bytes(received)


POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    "packets",
    [
        pytest.param([POST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n", b"0\r\n\r\n"], id="CL and TE"),
        pytest.param([POST + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n", b"0\r\n\r\n"], id="TE and CL"),
        pytest.param([POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{} "], id="two lengths"),
        pytest.param([POST + b"content-length: -1\r\n\r\n{}"], id="negative length"),
        pytest.param([POST + b"content-length: 0x2\r\n\r\n{}"], id="hexadecimal length"),
        pytest.param([POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"], id="unknown coding"),
        pytest.param([POST + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"], id="two codings"),
        pytest.param([POST + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n"], id="blank before the colon"),
        pytest.param([POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"], id="bad chunk length"),
        pytest.param([POST + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n"], id="endless chunk length"),
        pytest.param(
            [POST + b"transfer-encoding:\r\n chunked\r\ncontent-length: 4\r\n\r\n", b"0\r\n\r\n"], id="TE folded away"
        ),
        pytest.param([POST + b"x-nul: a\x00b\r\ncontent-length: 2\r\n\r\n{}"], id="NUL in a header"),
        pytest.param([b"GET /livez HTTP/1.1\r\n\r\n"], id="no host"),
        pytest.param([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)], id="TLS hello in the clear"),
    ],
)
async def test_no_request_can_be_smuggled(attacked: GatewayProcess, packets: list[bytes]) -> None:
    """What two servers could read in two ways is refused, and the connection with all that follows is closed."""
    pids = attacked.worker_pids()
    smuggled = b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n"
    answer = await said(attacked.port, *packets, smuggled)

    # 501 is what HTTP has for a transfer coding that nobody knows.
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501 "))
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b'"config_version"' not in answer
    await assert_alive(attacked, pids)


async def test_headers_of_a_mebibyte_are_refused(attacked: GatewayProcess) -> None:
    """By both ports."""
    pids = attacked.worker_pids()
    answer = await said(attacked.port, b"GET /livez HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 2**20 + b"\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    async with grpc.aio.insecure_channel(f"{HOST}:{attacked.grpc_port}") as channel:
        stub: Any = ChatServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            metadata = (*AUTH, ("x-long", "a" * 2**20))
            await stub.StreamChatCompletion(request("custom/echo"), metadata=metadata, timeout=LIMIT_S).read()

    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    await assert_alive(attacked, pids)


BEGUN = PREFACE + frame(SETTINGS) + frame(HEADERS, grpc_headers(STREAM_CHAT), flags=END_HEADERS, stream=1)


@pytest.mark.parametrize("port", ["envoy", "worker"])
@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(PREFACE + frame(SETTINGS, length=2**24 - 1), id="frame that claims 16 MiB"),
        pytest.param(PREFACE + frame(SETTINGS, b"abc"), id="settings of a wrong length"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", id="wrong preface"),
        pytest.param(PREFACE + frame(SETTINGS) + frame(DATA, b"abc", stream=1), id="data without a call"),
        pytest.param(PREFACE + frame(SETTINGS) + frame(HEADERS, b"\xff" * 50, flags=END_HEADERS, stream=1), id="HPACK"),
        pytest.param(BEGUN + frame(DATA, b"\0" + struct.pack(">I", 2**32 - 1), stream=1), id="message of 4 GiB"),
        pytest.param(
            BEGUN + frame(DATA, b"\0" + struct.pack(">I", 100) + b"x", flags=END_STREAM, stream=1), id="short message"
        ),
        pytest.param(BEGUN + frame(DATA, b"\x07\0\0\0\0", flags=END_STREAM, stream=1), id="unknown message flag"),
        pytest.param(
            BEGUN + frame(DATA, b"\0\0\0\0\x02\xff\xff", flags=END_STREAM, stream=1), id="message that is no protobuf"
        ),
        pytest.param(BEGUN + frame(DATA, bytes(5), stream=3), id="data for a call that is not there"),
        pytest.param(
            PREFACE
            + frame(SETTINGS)
            + b"".join(
                frame(HEADERS, grpc_headers(STREAM_CHAT), flags=END_HEADERS, stream=stream)
                + frame(RST_STREAM, bytes((0, 0, 0, 8)), stream=stream)
                for stream in range(1, 4001, 2)
            ),
            id="rapid reset",
        ),
    ],
)
async def test_bad_frames_do_no_harm(attacked: GatewayProcess, port: str, attack: bytes) -> None:
    """To nobody but their sender."""
    pids = attacked.worker_pids()
    reader, writer = await asyncio.open_connection(HOST, attacked.port if port == "envoy" else attacked.grpc_port)
    writer.write(attack)
    writer.write_eof()
    async with asyncio.timeout(LIMIT_S):
        async for _ in frames(reader):
            pass
    writer.close()

    await assert_alive(attacked, pids)

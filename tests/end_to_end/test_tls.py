"""TLS and client certificates, on Envoy's port and on the workers' own."""

import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest

from gateway.config import ConfigError, ServiceSettings
from gateway.tls import check_tls
from llmgateway.v1.chat_service_pb2_grpc import ChatServiceStub
from tests.support.certificates import Authority, Pair
from tests.support.command import finished, running_command
from tests.support.grpc_chat import request
from tests.support.stack import AUTH, Stack, running_stack

BODY = {"model": "custom/echo", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The certificate of an authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "theirs").issue("stranger")


def tls(authority: Authority) -> dict[str, str]:
    server = authority.issue("server")
    return {"TLS_CERT_FILE": str(server.certificate), "TLS_KEY_FILE": str(server.key)}


@pytest.fixture(scope="module")
async def secured(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A gateway with TLS."""
    async with running_stack(tmp_path_factory.mktemp("tls"), tls(authority)) as stack:
        yield stack


@pytest.fixture(scope="module")
async def mutual(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A gateway that wants certificates of its callers."""
    settings = {**tls(authority), "TLS_CLIENT_CA_FILE": str(authority.root)}
    async with running_stack(tmp_path_factory.mktemp("mtls"), settings) as stack:
        yield stack


async def ask_json(stack: Stack, authority: Authority, client: Pair | None = None) -> Any:
    trust = ssl.create_default_context(cafile=str(authority.root))
    if client is not None:
        trust.load_cert_chain(client.certificate, client.key)
    url = f"https://{stack.envoy}/v1/chat/completions"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http,
        http.post(url, json=BODY, headers=dict(AUTH), timeout=aiohttp.ClientTimeout(total=20)) as answer,
    ):
        return (await answer.json())["choices"][0]["message"]["content"]


async def ask_grpc(address: str, authority: Authority, client: Pair | None = None) -> str:
    own = (client.key.read_bytes(), client.certificate.read_bytes()) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.root.read_bytes(), *own)
    async with grpc.aio.secure_channel(address, credentials) as channel:
        stub: Any = ChatServiceStub(channel)
        call = stub.StreamChatCompletion(request("custom/echo"), metadata=AUTH, timeout=20)
        return "".join([choice.delta.content async for message in call for choice in message.chunk.choices])


PORTS = pytest.mark.parametrize(
    "address",
    [pytest.param(lambda stack: stack.envoy, id="envoy"), pytest.param(lambda stack: stack.grpc, id="worker")],
)
Address = Callable[[Stack], str]


async def test_json_over_tls(secured: Stack, authority: Authority) -> None:
    """With a certificate that a client can check."""
    assert await ask_json(secured, authority) == "hello"


@PORTS
async def test_grpc_over_tls(secured: Stack, authority: Authority, address: Address) -> None:
    """Through Envoy and to the worker itself."""
    assert await ask_grpc(address(secured), authority) == "hello"


@PORTS
async def test_without_tls_nobody_gets_in(secured: Stack, address: Address) -> None:
    """Neither port speaks in the clear."""
    async with grpc.aio.insecure_channel(address(secured)) as channel:
        stub: Any = ChatServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.StreamChatCompletion(request("custom/echo"), metadata=AUTH, timeout=20).read()

    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_old_tls_is_refused(secured: Stack) -> None:
    """Version 1.2 is the oldest."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=old)) as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"https://{secured.envoy}/livez")


async def test_a_known_client_certificate_is_let_in(mutual: Stack, authority: Authority) -> None:
    """By JSON and by gRPC, on both ports."""
    client = authority.issue("client")

    assert await ask_json(mutual, authority, client) == "hello"
    assert await ask_grpc(mutual.envoy, authority, client) == "hello"
    assert await ask_grpc(mutual.grpc, authority, client) == "hello"


@pytest.mark.parametrize("shown", ["none", "a stranger's"])
async def test_other_clients_are_not(mutual: Stack, authority: Authority, stranger: Pair, shown: str) -> None:
    """Without a certificate, or with one that the gateway's authority has not signed."""
    client = stranger if shown == "a stranger's" else None
    with pytest.raises(aiohttp.ClientError):
        await ask_json(mutual, authority, client)
    for address in (mutual.envoy, mutual.grpc):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask_grpc(address, authority, client)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_the_command_starts_with_tls(authority: Authority, tmp_path: Path) -> None:
    """Also when callers need a certificate, which the command itself has none of."""
    settings = {
        **tls(authority),
        "TLS_CLIENT_CA_FILE": str(authority.root),
        "DATABASE_URL": f"sqlite:///{tmp_path}/g.db",
    }
    async with running_command(tmp_path, settings) as command:
        assert f"https://127.0.0.1:{command.ports['SERVICE_PORT']}/v1" in command.banner
        assert f"https://127.0.0.1:{command.ports['ADMIN_PORT']}/admin/v1" in command.banner
        trust = ssl.create_default_context(cafile=str(authority.root))
        client = authority.issue("client")
        trust.load_cert_chain(client.certificate, client.key)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http,
            http.get(command.url.replace("http:", "https:") + "/readyz") as answer,
            http.get(f"https://127.0.0.1:{command.ports['ADMIN_PORT']}/readyz") as to_operators,
        ):
            assert (answer.status, to_operators.status) == (200, 200)


async def test_a_wrong_file_stops_the_start(tmp_path: Path) -> None:
    """With one line that names it."""
    code, _, errors = await finished(
        "run", settings={"TLS_CERT_FILE": str(tmp_path / "no.pem"), "TLS_KEY_FILE": str(tmp_path / "no.key")}
    )

    assert code == 2
    assert errors == f"llmgateway: TLS_CERT_FILE: {tmp_path}/no.pem cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        pytest.param({"tls_cert_file": "c"}, "TLS_KEY_FILE is not set", id="no key"),
        pytest.param({"tls_key_file": "k"}, "TLS_CERT_FILE is not set", id="no certificate"),
        pytest.param({"tls_client_ca_file": "c"}, "TLS_CLIENT_CA_FILE needs", id="authority alone"),
        pytest.param({"tls_cert_file": "c", "tls_key_file": "other"}, "not a PEM certificate and its", id="other key"),
        pytest.param({"tls_cert_file": "k", "tls_key_file": "k"}, "not a PEM certificate and its", id="no PEM"),
        pytest.param(
            {"tls_cert_file": "c", "tls_key_file": "k", "tls_client_ca_file": "k"}, "holds no PEM", id="no authority"
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(
    authority: Authority, stranger: Pair, given: dict[str, str], complaint: str
) -> None:
    """Before anything listens."""
    server = authority.issue("fitting")
    files = {"c": server.certificate, "k": server.key, "other": stranger.key}
    paths: dict[str, Any] = {name: str(files[which]) for name, which in given.items()}
    settings = ServiceSettings(**paths)
    with pytest.raises(ConfigError, match=complaint):
        check_tls(settings)

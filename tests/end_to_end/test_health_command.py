"""`python -m gateway health`: what a container's health check asks."""

import re
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.command import finished
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.ports import free_port

pytestmark = pytest.mark.timeout(180)


def settings_of(gateway: GatewayProcess) -> dict[str, str]:
    return {"SERVICE_PORT": str(gateway.port), "GRPC_PORT": str(gateway.grpc_port)}


@pytest.mark.parametrize("command", ["run", "serve"])
@pytest.mark.parametrize("tls", ["plain", "TLS", "client certificates"])
async def test_a_gateway_that_serves_is_healthy(tmp_path: Path, command: str, tls: str) -> None:
    """With Envoy and without, whatever its callers need; and when it has stopped it is not."""
    environment = {}
    if tls != "plain":
        authority = Authority(tmp_path, "ours")
        pair = authority.issue("server")
        environment = {"TLS_CERT_FILE": str(pair.certificate), "TLS_KEY_FILE": str(pair.key)}
        if tls == "client certificates":
            environment["TLS_CLIENT_CA_FILE"] = str(Authority(tmp_path, "clients").root)
    arguments = ("--workers", "1", "--sockets", str(tmp_path / "sockets")) if command == "serve" else ()
    async with running_gateway(tmp_path, *arguments, environment=environment, command=command) as gateway:
        settings = {**settings_of(gateway), **environment}
        assert await finished("health", settings=settings) == (0, "", "")

    code, output, errors = await finished("health", settings=settings)
    assert (code, output) == (1, "")
    assert re.fullmatch(r"llmgateway: not ready: .+\n", errors)


async def test_a_stranger_on_the_port_is_not_healthy(tmp_path: Path) -> None:
    """An answer other than readiness is named."""
    async with running_gateway(tmp_path) as gateway:
        settings = {"SERVICE_PORT": str(gateway.metrics_port), "GRPC_PORT": str(free_port())}
        code, _, errors = await finished("health", settings=settings)

    assert (code, errors) == (1, "llmgateway: not ready: /readyz answers 404\n")

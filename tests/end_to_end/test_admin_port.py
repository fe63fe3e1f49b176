"""Operators have a port of their own: callers' port does not know AdminService, not even for an operator's key."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest

from gateway.bindings import Binding, read_bindings
from llmgateway.v1 import admin_service_pb2
from llmgateway.v1.admin_key_pb2 import CreateKeyRequest
from llmgateway.v1.admin_service_pb2_grpc import AdminServiceStub
from tests.support.envoy import DESCRIPTOR
from tests.support.operated import CHAT, Operated, operated
from tests.support.vendor import completion

SERVICE = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
METHODS = [method.name for method in SERVICE.methods]
ROUTES = [binding for binding in read_bindings(DESCRIPTOR) if binding.service == SERVICE.full_name]
NO_ROUTE = {
    "message": "There is no such route. Check the path of the request.",
    "type": "invalid_request_error",
    "param": None,
    "code": None,
}


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    """One gateway for the module."""
    async with operated(tmp_path_factory.mktemp("admin-port")) as running:
        yield running


def operators(gateway: Operated) -> str:
    """Return the operators' port as a gRPC target."""
    return gateway.stack.admin_url.removeprefix("http://")


async def ask(gateway: Operated, target: str, path: str) -> grpc.StatusCode:
    """Make a native call of any path with an operator's key, and return how it ended."""
    async with gateway.stack.channel(target) as channel:
        call = channel.unary_unary(path, request_serializer=None, response_deserializer=None)(
            b"", metadata=(("x-api-key", gateway.admin),), timeout=10
        )
        code: grpc.StatusCode = await call.code()
        return code


def path_of(route: Binding) -> str:
    return route.template.replace("{", "").replace("}", "")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
async def test_callers_port_has_no_route_of_operators(gateway: Operated, route: Binding) -> None:
    """404 in OpenAI's shape, the same as for any unknown path: no 403, no 405."""
    reply = await gateway.call_at(gateway.stack.url, route.method, path_of(route), {}, key=gateway.admin)

    assert (reply.status, reply.body) == (404, {"error": NO_ROUTE})
    assert "allow" not in reply.headers


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
async def test_operators_port_has_every_route(gateway: Operated, route: Binding) -> None:
    """Also for a caller without the admin right, who is told that it is missing."""
    body: Any = None if route.method == "GET" else {}
    reply = await gateway.call(route.method, path_of(route), body)

    assert (reply.status, reply.body["error"]["code"]) == (403, "permission_denied")


@pytest.mark.parametrize("method", METHODS)
async def test_callers_port_has_no_method_of_operators(gateway: Operated, method: str) -> None:
    """UNIMPLEMENTED, from Envoy: no worker is asked."""
    code = await ask(gateway, gateway.stack.envoy, f"/{SERVICE.full_name}/{method}")

    assert code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "path",
    [
        "//llmgateway.v1.AdminService/ListKeys",
        "/./llmgateway.v1.AdminService/ListKeys",
        "/v1/../llmgateway.v1.AdminService/ListKeys",
        "/llmgateway%2Ev1.AdminService/ListKeys",
        "/llmgateway.v1.%41dminService/ListKeys",
        "/llmgateway.v1.AdminService%2FListKeys",
        "/llmgateway.v1.AdminService//ListKeys",
        "/llmgateway.v1.AdminService/ListKeys?a=b",
        "/llmgateway.v1.AdminService/ListKeys#a",
        "/LLMGATEWAY.v1.adminservice/ListKeys",
        "/admin/v1/keys",
    ],
)
async def test_no_spelling_of_the_path_passes(gateway: Operated, path: str) -> None:
    """Envoy normalises paths before it routes; INTERNAL is its answer to a path that is none."""
    code = await ask(gateway, gateway.stack.envoy, path)

    assert code in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;x",
        "application/grpc-web",
        "",
    ],
)
async def test_no_content_type_passes(gateway: Operated, content_type: str) -> None:
    """Over HTTP/1.1, where a request can call itself what it likes."""
    headers: dict[str, Any] = {
        "authorization": f"Bearer {gateway.admin}",
        "content-type": content_type,
        "te": "trailers",
    }
    url = f"{gateway.stack.url}/{SERVICE.full_name}/ListKeys"
    async with aiohttp.ClientSession() as http, http.post(url, data=b"\0" * 5, headers=headers) as answer:
        body = await answer.read()

    assert answer.status == 404 or answer.headers["grpc-status"] == "12"
    assert b"operator" not in body


async def test_operators_port_takes_native_calls(gateway: Operated) -> None:
    """By stub, as through the port without Envoy."""
    async with gateway.stack.channel(operators(gateway)) as channel:
        made = await AdminServiceStub(channel).CreateKey(
            CreateKeyRequest(name="native"), metadata=(("x-api-key", gateway.admin),)
        )

    assert made.key.name == "native"


async def test_operators_port_has_what_everyone_has(gateway: Operated) -> None:
    """A script of an operator's needs one address only; wrong paths are 404 there too."""
    gateway.vendor.script_json(completion())
    answered, wrong = [
        await gateway.call_at(gateway.stack.admin_url, "POST", path, CHAT, key=gateway.admin)
        for path in ("/v1/chat/completions", "/admin/v1/nothing")
    ]

    assert answered.status == 200
    assert (wrong.status, wrong.body) == (404, {"error": NO_ROUTE})

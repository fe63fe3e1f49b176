"""What goes around every call, in which order; ids and keys."""

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from gateway.admission.keys import ANONYMOUS, StaticKeys
from gateway.config import Secret
from gateway.errors import Unauthenticated
from gateway.interceptors.chain import build_chain
from gateway.lifecycle import Lifecycle
from gateway.telemetry.metrics import Metrics
from tests.support.stack import Stack, running_stack

CHAT = "/v1/chat/completions"
BODY = {"model": "custom/echo", "messages": [{"role": "user", "content": "hello wide world"}]}


def test_the_order_is_the_documented_one() -> None:
    """Errors outermost, keys innermost; log and metrics outside the keys, so that refusals are seen."""
    chain = build_chain(StaticKeys((), required=True), Metrics(CollectorRegistry()), Lifecycle(), None, time.monotonic)

    assert [type(link).__name__.removesuffix("Interceptor") for link in chain.interceptors] == [
        "Error",
        "RequestId",
        "Trailers",
        "AccessLog",
        "Metrics",
        "InFlight",
        "Auth",
    ]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param("job-7/a:b.c_d+e=f@g", True, id="sane"),
        pytest.param("x" * 128, True, id="longest"),
        pytest.param("x" * 129, False, id="too long"),
        pytest.param("two words", False, id="blank"),
        pytest.param('"quoted"', False, id="quotes"),
        pytest.param("", False, id="empty"),
    ],
)
async def test_a_request_id_is_kept_if_it_is_sane(stack: Stack, sent: str, kept: bool) -> None:
    """It goes into logs and headers, so it is not taken as it comes."""
    async with stack.channel() as channel:
        call = channel.unary_unary("/llmgateway.v1.SystemService/Live")(b"", metadata=(("x-request-id", sent),))
        await call
        trailers: Any = dict(await call.trailing_metadata())

    assert (trailers["x-request-id"] == sent) == kept
    assert trailers["x-request-id"]


async def test_each_key_is_a_caller_of_its_own() -> None:
    """Named by a digest, which tells the keys apart and does not reveal them."""
    keys = StaticKeys([Secret("sk-one"), Secret("sk-two")], required=True)
    one, two = await keys.identify("sk-one"), await keys.identify("sk-two")

    assert one != two
    assert await keys.identify("sk-one") == one
    assert "one" not in one.key_id
    for wrong in (None, "", "sk-on", "sk-one ", "SK-ONE"):
        with pytest.raises(Unauthenticated):
            await keys.identify(wrong)


async def test_without_required_keys_everyone_may_call() -> None:
    """A known key still names its caller; any other is nobody's."""
    keys = StaticKeys([Secret("sk-one")], required=False)

    assert await keys.identify(None) == ANONYMOUS
    assert await keys.identify("sk-wrong") == ANONYMOUS
    assert await keys.identify("sk-one") != ANONYMOUS


async def test_require_auth_false_opens_the_gateway(tmp_path: Path) -> None:
    """With no key, with one that nobody knows, and with credentials that are for a proxy on the way."""
    async with running_stack(tmp_path, {"REQUIRE_AUTH": "false"}) as stack, aiohttp.ClientSession(stack.url) as http:
        for headers in ({}, {"authorization": "Bearer anything"}, {"authorization": "Basic eDp5"}):
            async with http.post(CHAT, json=BODY, headers=headers) as response:
                assert response.status == 200

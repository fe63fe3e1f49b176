"""Whatever an operator sends, the answer is right: on the admin routes as JSON, and by message."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from tests.fuzz.answers import bounded, check_http, compact
from tests.fuzz.inputs import VALUES
from tests.fuzz.test_typed_edge import METHODS, ask, messages
from tests.support.operated import Operated, operated

SERVICES = (".AdminService/", ".PreferenceService/", ".UsageService/")
ADMIN = [method for method in METHODS if any(service in method for service in SERVICES)]
PATHS = [
    "/admin/v1/keys", "/admin/v1/keys/nope", "/admin/v1/keys/nope:rotate", "/admin/v1/keys/nope:disable",
    "/admin/v1/keys/nope/limits", "/admin/v1/projects", "/admin/v1/usage", "/admin/v1/usage/export",
    "/admin/v1/providers", "/admin/v1/providers/nope", "/admin/v1/prices", "/admin/v1/prices/nope",
    "/admin/v1/configuration:reload", "/api/v1/ai/preferences", "/api/v1/ai/preferences/nope",
    "/admin/v1/provider-checks", "/api/v1/ai/usage", "/api/v1/ai/quota", "/api/v1/ai/ratelimit", "/api/v1/ai/estimate",
]  # fmt: skip
FIELDS = st.sampled_from(
    ["name", "project", "limits", "admin", "scopes", "expires_at", "expire_time", "page_size", "page_token", "model",
     "start_time", "end_time", "key_id", "chat", "spend_month_usd", "requests_per_minute", "provider", "secret",
     "kind", "base_url", "models", "max_output_tokens", "disabled", "prices", "price_id"]
)  # fmt: skip


@pytest.fixture(scope="module")
async def operator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    async with operated(tmp_path_factory.mktemp("operated")) as running:
        yield running


@bounded(1200)
@given(
    path=st.sampled_from(PATHS),
    method=st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE"]),
    body=st.dictionaries(FIELDS, VALUES, max_size=4) | VALUES,
    query=st.dictionaries(FIELDS, st.sampled_from(["", "0", "-1", "x", "9" * 30, "2026-01-01T00:00:00Z"]), max_size=3),
)
async def test_any_admin_request(operator: Operated, path: str, method: str, body: Any, query: dict[str, str]) -> None:
    """Fields that exist and fields that do not, with any value."""
    data, headers = compact(body), {"authorization": f"Bearer {operator.admin}", "content-type": "application/json"}
    base = operator.stack.admin_url if path.startswith("/admin/") else operator.stack.url
    url = URL(base + path).with_query(query)
    async with aiohttp.ClientSession() as http, http.request(method, url, data=data, headers=headers) as response:
        answer = await response.read()
    check_http(response.status, response.headers.get("content-type", ""), answer, f"{url} {data!r}")


@bounded(1200)
@given(call=st.sampled_from(ADMIN).flatmap(lambda name: st.tuples(st.just(name), messages(METHODS[name][0]))))
async def test_any_admin_message(operator: Operated, call: tuple[str, Message]) -> None:
    """Messages of the contract with any values in any field."""
    method, request = call
    metadata = (("authorization", f"Bearer {operator.admin}"),)
    await ask(operator.stack, method, request.SerializeToString(), through_envoy=False, metadata=metadata)

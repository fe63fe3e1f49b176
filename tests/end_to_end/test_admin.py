"""What operators do: keys, limits, providers' keys and the ledger, through Envoy and by stub."""

import csv
import io
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from google.protobuf import message_factory

from gateway.storage import call_rows
from gateway.storage.records import Reservation, Settlement
from llmgateway.v1 import admin_service_pb2
from llmgateway.v1.admin_health_pb2 import ListProviderChecksRequest
from llmgateway.v1.admin_key_pb2 import CreateKeyRequest
from llmgateway.v1.admin_service_pb2_grpc import AdminServiceStub
from llmgateway.v1.admin_usage_pb2 import ExportUsageRequest, ListUsageRequest
from tests.support.ledger_records import NOW, reservation, settlement
from tests.support.operated import CHAT, Operated, operated, renamed
from tests.support.stack import AUTH
from tests.support.vendor import completion

ADMIN = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]


@pytest.fixture(scope="module")
async def module_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    """One gateway for the module; tests take `gateway`."""
    async with operated(tmp_path_factory.mktemp("admin")) as running:
        yield running


@pytest.fixture
def gateway(module_gateway: Operated) -> Operated:
    """A gateway whose vendor answers."""
    module_gateway.vendor.script_json(completion())
    return module_gateway


@pytest.mark.parametrize("method", [method.name for method in ADMIN.methods])
async def test_every_method_needs_the_admin_right(gateway: Operated, method: str) -> None:
    """PERMISSION_DENIED for a key without it, UNAUTHENTICATED without a key; no method is left out."""
    descriptor = ADMIN.methods_by_name[method]
    request = message_factory.GetMessageClass(descriptor.input_type)
    async with gateway.stack.channel() as channel:
        call = getattr(AdminServiceStub(channel), method)
        codes = []
        for metadata in (AUTH, ()):
            answer = call(request(), metadata=metadata)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await (answer.read() if descriptor.server_streaming else answer)
            codes.append(caught.value.code())

    assert codes == [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED]


async def test_a_key_lives_and_ends(gateway: Operated) -> None:
    """Made with a secret that is shown once, used, rotated with both secrets valid, disabled."""
    made = await gateway.call(
        "POST",
        "/admin/v1/keys",
        {"name": "alice", "project_id": "team", "models": ["openai/*"], "lifetime_seconds": "3600"},
        key=gateway.admin,
    )
    key, first = made.body["key"], made.body["secret"]
    path = f"/admin/v1/keys/{key['id']}"
    shown = (await gateway.call("GET", path, key=gateway.admin)).body
    rotated = (await gateway.call("POST", f"{path}:rotate", {}, key=gateway.admin)).body
    both = [
        (await gateway.call("POST", "/v1/chat/completions", CHAT, key=key)).status for key in (first, rotated["secret"])
    ]
    last = (await gateway.call("POST", f"{path}:rotate", {"overlap_seconds": "0"}, key=gateway.admin)).body["secret"]
    after = [
        (await gateway.call("POST", "/v1/chat/completions", CHAT, key=key)).status
        for key in (first, rotated["secret"], last)
    ]
    disabled = (await gateway.call("POST", f"{path}:disable", key=gateway.admin)).body
    ended = await gateway.call("POST", "/v1/chat/completions", CHAT, key=last)

    assert shown == {"key": key}
    assert (key["name"], key["project_id"], key["models"]) == ("alice", "team", ["openai/*"])
    assert key["expire_time"] > key["create_time"]
    assert first not in str(shown)
    assert both == [200, 200]
    assert after == [401, 401, 200]
    assert "disable_time" in disabled["key"]
    assert ended.status == 401


async def test_keys_are_listed_in_pages(gateway: Operated) -> None:
    """Oldest first, each once, by project; the last page has no token."""
    made = [(await gateway.new_key(project_id="paged"))[0] for _ in range(5)]
    await gateway.new_key(project_id="other")
    found: list[str] = []
    token, pages = "", 0
    while token or not pages:
        query = {"project_id": "paged", "page_size": "2", "page_token": token}
        page = (await gateway.call("GET", "/admin/v1/keys", key=gateway.admin, query=query)).body
        found += [key["id"] for key in page["keys"]]
        token, pages = page.get("next_page_token", ""), pages + 1

    assert sorted(found) == sorted(made)
    assert pages == 3


async def test_new_limits_hold_at_once(gateway: Operated) -> None:
    """A key's and its project's; what was used before stays counted."""
    key_id, secret = await gateway.new_key(project_id="tight")
    await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)
    limits = {"requests_per_minute": 1, "spend_nano_usd_per_month": "1500000000", "strategy": "sliding"}
    changed = (await gateway.call("PUT", f"/admin/v1/keys/{key_id}/limits", limits, key=gateway.admin)).body
    first = await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)
    second = await gateway.call("POST", "/v1/chat/completions", CHAT, key=secret)
    await gateway.call("PUT", f"/admin/v1/keys/{key_id}/limits", {}, key=gateway.admin)
    project = await gateway.call("PUT", "/admin/v1/projects/tight/limits", {"concurrent": 4}, key=gateway.admin)
    projects = (await gateway.call("GET", "/admin/v1/projects", key=gateway.admin)).body["projects"]
    standing = (await gateway.call("GET", "/api/v1/ai/ratelimit", key=secret)).body["limits"]

    assert changed["key"]["limits"] == {
        "requests_per_minute": "1",
        "spend_nano_usd_per_month": "1500000000",
        "strategy": "sliding",
    }
    assert [first.status, second.status] == [200, 429]
    assert project.body["project"] in projects
    assert [(limit["scope_id"], limit["metric"], limit["limit"]) for limit in standing] == [
        ("tight", "concurrent", "4")
    ]


async def test_provider_keys_are_stored_and_never_shown(gateway: Operated) -> None:
    """Set, listed without the key, encrypted anew, forgotten."""
    path = "/admin/v1/provider-keys"
    stored = await gateway.call("PUT", f"{path}/openai", {"key": "sk-canary-vendor"}, key=gateway.admin)
    listed = await gateway.call("GET", path, key=gateway.admin)
    again = await gateway.call("POST", f"{path}:reencrypt", key=gateway.admin)
    forgotten = await gateway.call("DELETE", f"{path}/openai", key=gateway.admin)
    empty = await gateway.call("GET", path, key=gateway.admin)
    missing = await gateway.call("DELETE", f"{path}/openai", key=gateway.admin)

    assert stored.status == forgotten.status == 200
    assert [key["provider"] for key in listed.body["provider_keys"]] == ["openai"]
    assert "canary" not in str(listed.body)
    assert again.body == {"secrets": 2}
    assert empty.body == {}
    assert missing.status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        pytest.param("POST", "keys", {}, 422, "name", id="no name"),
        pytest.param("POST", "keys", {"name": "a\0b"}, 422, "name", id="unprintable name"),
        pytest.param("POST", "keys", {"name": "a" * 201}, 422, "name", id="long name"),
        pytest.param("POST", "keys", {"name": "a", "models": [""]}, 422, "models", id="empty model"),
        pytest.param("POST", "keys", {"name": "a", "lifetime_seconds": 0}, 422, "lifetime_seconds", id="no life"),
        pytest.param("POST", "keys", {"name": "a", "limits": {"concurrent": -1}}, 422, "limits", id="negative limit"),
        pytest.param("POST", "keys", {"name": "a", "limits": {"strategy": "x"}}, 422, "limits", id="unknown strategy"),
        pytest.param("GET", "keys?page_size=-1", None, 422, "page_size", id="negative page"),
        pytest.param("GET", "keys?page_token=nonsense", None, 422, "page_token", id="forged token"),
        pytest.param("GET", "usage?page_token=WzEsMV0", None, 422, "page_token", id="token of another shape"),
        pytest.param("GET", "keys/key_none", None, 404, "key_id", id="unknown key"),
        pytest.param("POST", "keys/key_none:rotate", {}, 404, "key_id", id="rotate unknown key"),
        pytest.param("POST", "keys/key_none:disable", {}, 404, "key_id", id="disable unknown key"),
        pytest.param("PUT", "keys/key_none/limits", {}, 404, "key_id", id="limit unknown key"),
        pytest.param("PUT", "provider-keys/none", {"key": "k"}, 404, "provider", id="unknown provider"),
        pytest.param("PUT", "provider-keys/openai", {}, 422, "key", id="no provider key"),
    ],
)
async def test_a_wrong_request_names_its_field(
    gateway: Operated, *, method: str, path: str, body: object, status: int, param: str
) -> None:
    """422 or 404 with `param`; nothing is changed."""
    reply = await gateway.call(method, f"/admin/v1/{path}", body, key=gateway.admin)

    assert (reply.status, reply.body["error"]["param"]) == (status, param)


async def test_a_verb_s_path_tells_its_methods(gateway: Operated) -> None:
    """405 with the methods of the verb, not those of the key."""
    reply = await gateway.call("GET", "/admin/v1/keys/key_none:rotate", key=gateway.admin)

    assert (reply.status, reply.headers["allow"]) == (405, "POST")


async def _stored(gateway: Operated, key_id: str, count: int, **fields: object) -> None:
    """Write ended calls of a key into the ledger, two in each millisecond."""
    async with gateway.database() as database:
        for start in range(0, count, 500):
            records: list[Reservation | Settlement] = []
            for number in range(start, min(start + 500, count)):
                call = f"{key_id}-{number:06}"
                records += [
                    reservation(call, key_id=key_id, started_at=NOW + number // 2, **fields),
                    settlement(call, **{name: fields[name] for name in ("provider", "model") if name in fields}),
                ]
            async with database.writing() as connection:
                await connection.run_sync(call_rows.store, records)


async def test_the_ledger_is_listed_in_pages(gateway: Operated) -> None:
    """Newest first, each call once, also those of one millisecond and while new ones come."""
    await _stored(gateway, "key_pages", 25)
    found: list[str] = []
    token = ""
    for page_number in range(3):
        query = {"key_id": "key_pages", "page_size": "10", "page_token": token}
        page = (await gateway.call("GET", "/admin/v1/usage", key=gateway.admin, query=query)).body
        found += [call["id"] for call in page["calls"]]
        token = page.get("next_page_token", "")
        if page_number == 0:
            await gateway.call("POST", "/v1/chat/completions", CHAT)

    assert found == [f"key_pages-{number:06}" for number in reversed(range(25))]
    assert token == ""


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param({"request_id": "request-key_a-000001"}, ["key_a-000001"], id="request id"),
        pytest.param(
            {"key_id": "key_a", "end_time": "2026-01-01T00:00:00.001Z"}, ["key_a-000001", "key_a-000000"], id="before"
        ),
        pytest.param({"key_id": "key_a", "start_time": "2026-01-01T00:00:00.001Z"}, ["key_a-000002"], id="from"),
        pytest.param({"key_id": "key_a", "provider": "gemini"}, [], id="another provider"),
        pytest.param({"model": "rare"}, ["key_b-000000"], id="model"),
        pytest.param({"project_id": "apart", "provider": "gemini", "outcome": "OK"}, ["key_b-000000"], id="project"),
        pytest.param({"key_id": "key_b", "outcome": "CANCELLED"}, [], id="outcome"),
    ],
)
async def test_the_ledger_is_filtered(gateway: Operated, query: dict[str, str], found: list[str]) -> None:
    """By each field, all of which must fit."""
    await _stored(gateway, "key_a", 3)
    await _stored(gateway, "key_b", 1, project_id="apart", provider="gemini", model="rare")
    page = (await gateway.call("GET", "/admin/v1/usage", key=gateway.admin, query=query)).body

    assert [call["id"] for call in page.get("calls", [])] == found


@pytest.mark.parametrize("rpc", ["ListUsage", "ExportUsage", "ListProviderChecks"])
@pytest.mark.parametrize("field", ["start_time", "end_time"])
async def test_a_time_that_no_calendar_has_is_refused(gateway: Operated, rpc: str, field: str) -> None:
    """Only a stub can send it: JSON has no text for it."""
    kinds = {kind.__name__: kind for kind in (ListUsageRequest, ExportUsageRequest, ListProviderChecksRequest)}
    request = kinds[f"{rpc}Request"]()
    getattr(request, field).seconds = 2**62
    async with gateway.stack.channel() as channel:
        call = getattr(AdminServiceStub(channel), rpc)(request, metadata=(("x-api-key", gateway.admin),))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (call.read() if rpc == "ExportUsage" else call)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in (caught.value.details() or "")


async def test_the_ledger_is_exported_as_csv(gateway: Operated) -> None:
    """All calls that fit, also more than one piece holds; a caller's text is no formula."""
    await _stored(gateway, "key_csv", 1001, model='=cmd|" /C calc"!A0')
    reply = await gateway.call("GET", "/admin/v1/usage:export?key_id=key_csv", key=gateway.admin)
    lines = list(csv.DictReader(io.StringIO(reply.body)))

    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert [line["id"] for line in lines] == [f"key_csv-{number:06}" for number in reversed(range(1001))]
    assert {line["model"] for line in lines} == {'\'=cmd|" /C calc"!A0'}
    assert (lines[-1]["start_time"], lines[-1]["cost_nano_usd"], lines[-1]["cost_usd"]) == (
        "2026-01-01T00:00:00.000+00:00",
        "300",
        "0.0000003",
    )


async def test_an_export_that_breaks_off_says_so(gateway: Operated) -> None:
    """An HTTP caller sees no status after the first piece, so the last line tells it; a stub gets both."""
    await _stored(gateway, "key_broken", 12_000)
    request = ExportUsageRequest(key_id="key_broken")
    pieces: list[bytes] = []
    async with gateway.stack.channel() as channel, gateway.database() as database:
        export = AdminServiceStub(channel).ExportUsage(request, metadata=(("x-api-key", gateway.admin),))
        pieces.append((await export.read()).data)
        async with renamed(database, "calls"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                while True:
                    pieces.append((await export.read()).data)
    lines = list(csv.reader(io.StringIO(b"".join(pieces).decode())))

    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert len(lines) < 12_000
    assert lines[-1] == ["error", "The gateway cannot reach its database now."]


async def test_an_outage_is_not_an_unknown_key(gateway: Operated) -> None:
    """503 while the database cannot be read, and all is well afterwards."""
    path = "/admin/v1/keys/key_none"
    async with gateway.database() as database:
        async with renamed(database, "key_secrets"), renamed(database, "keys"):
            during = await gateway.call("GET", path, key=gateway.admin)
        after = await gateway.call("GET", path, key=gateway.admin)

    assert [during.status, after.status] == [503, 404]


async def test_keys_are_made_by_stub_too(gateway: Operated) -> None:
    """The same service without Envoy."""
    async with gateway.stack.channel() as channel:
        made = await AdminServiceStub(channel).CreateKey(
            CreateKeyRequest(name="stub"), metadata=(("x-api-key", gateway.admin),)
        )

    assert (await gateway.call("GET", "/api/v1/ai/usage", key=made.secret)).status == 200

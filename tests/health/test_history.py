"""The history of checks: stored in either database, read in pages, kept for a time, and no reason to stop checking."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from structlog.testing import capture_logs

from gateway.errors import Overloaded
from gateway.health.history import CheckHistory, writing
from gateway.state import now_ms
from gateway.storage import provider_health
from gateway.storage.database import Database, open_database
from gateway.storage.migrate import migrate
from gateway.storage.provider_health import CheckFilter, ProviderCheck, ProviderCheckQueries
from llmgateway.v1.admin_health_pb2 import ListProviderChecksRequest
from llmgateway.v1.admin_service_pb2_grpc import AdminServiceStub
from tests.support.health import OFTEN, health_pages
from tests.support.operated import Operated, operated, renamed

NOW = 1_767_225_600_000
DAY_MS = 86_400_000
ALL = CheckFilter()


def check(number: int, provider: str = "openai", at: int = NOW, **fields: Any) -> ProviderCheck:
    """Return a check; its fields are those of one that went well."""
    given = {
        "up": True,
        "reason": "",
        "latency_ms": 7,
        "recent_calls": 4,
        "recent_failed_calls": 1,
        "checked_by": "process",
        **fields,
    }
    return ProviderCheck(id=f"{number:06}", provider=provider, checked_at=at, **given)


@pytest.fixture
async def database(database_text: str) -> AsyncIterator[Database]:
    """An empty database of each kind."""
    async with open_database(database_text) as opened:
        await migrate(opened)
        yield opened


async def until_stored(
    database: Database, fits: Callable[[list[ProviderCheck]], bool], chosen: CheckFilter = ALL
) -> list[ProviderCheck]:
    """Return the stored checks, newest first, as soon as they fit."""
    async with asyncio.timeout(20):
        while True:
            found = await ProviderCheckQueries(database).checks(chosen, after=None, limit=10_000)
            if fits(found):
                return found
            await asyncio.sleep(0.05)


def has(*ids: str) -> Callable[[list[ProviderCheck]], bool]:
    """Tell whether these and no other checks are there, in this order."""
    return lambda found: [each.id for each in found] == list(ids)


async def test_checks_are_read_back_as_they_were(database: Database) -> None:
    """Newest first, with everything that they had; those of one moment in a fixed order."""
    made = [
        check(1, at=NOW - 1),
        check(2, up=False, reason="PROVIDER_TIMEOUT", latency_ms=5000, recent_calls=0, recent_failed_calls=0),
        check(3, provider="gemini"),
    ]
    async with writing(CheckHistory(database, now_ms, 3650)) as history:
        for each in made:
            history.add(each)
        found = await until_stored(database, lambda found: len(found) == 3)

    assert found == [made[2], made[1], made[0]]


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        pytest.param(CheckFilter(), ["000003", "000002", "000001", "000000"], id="all"),
        pytest.param(CheckFilter(provider="gemini"), ["000001"], id="provider"),
        pytest.param(CheckFilter(provider="nobody"), [], id="unknown provider"),
        pytest.param(CheckFilter(checked_from=NOW + 2), ["000003", "000002"], id="from, included"),
        pytest.param(CheckFilter(checked_before=NOW + 2), ["000001", "000000"], id="before, left out"),
        pytest.param(
            CheckFilter(provider="openai", checked_from=NOW + 1, checked_before=NOW + 3), ["000002"], id="three"
        ),
    ],
)
async def test_checks_are_filtered_and_paged(database: Database, chosen: CheckFilter, ids: list[str]) -> None:
    """By all fields at once; page by page each check comes once."""
    made = [check(number, "gemini" if number == 1 else "openai", NOW + number) for number in range(4)]
    async with database.writing() as connection:
        await provider_health.store(connection, made)
        await provider_health.store(connection, made)  # again, as after a lost answer
    queries = ProviderCheckQueries(database)
    found: list[str] = []
    place = None
    while page := await queries.checks(chosen, after=place, limit=1):
        found.append(page[0].id)
        place = (page[0].checked_at, page[0].id)

    assert found == ids


async def test_old_checks_are_deleted(database: Database) -> None:
    """Those made before the days to keep, by any process."""
    async with database.writing() as connection:
        await provider_health.store(connection, [check(1, at=NOW - 8 * DAY_MS), check(2, at=NOW - 6 * DAY_MS)])
    async with writing(CheckHistory(database, lambda: NOW, 7)) as history:
        history.add(check(3))
        await until_stored(database, has("000003", "000002"))


async def test_an_outage_loses_no_check(database: Database) -> None:
    """They wait, in a bounded number, and are stored when the database is back; reading is 503 meanwhile."""
    with capture_logs() as log:
        async with writing(CheckHistory(database, now_ms, 3650, retry_s=0.1)) as history:
            async with renamed(database, "provider_health"), asyncio.timeout(20):
                for number in range(3):
                    history.add(check(number))
                with pytest.raises(Overloaded):
                    await ProviderCheckQueries(database).checks(ALL, after=None, limit=1)
                while not log:  # noqa: ASYNC110  # a log has no event to wait for
                    await asyncio.sleep(0.05)
            await until_stored(database, has("000002", "000001", "000000"))

    assert [line["event"] for line in log] == ["checks of providers wait"]


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    """A day's outage does not fill the memory: the oldest are given up."""

    async def fill() -> int:
        async with open_database(f"sqlite:///{tmp_path}/gateway.db") as database:
            history = CheckHistory(database, now_ms, 7)
            for number in range(10_050):
                history.add(check(number))
            return len(history._waiting)

    assert asyncio.run(fill()) == 10_000


@pytest.fixture
async def checked(tmp_path: Path) -> AsyncIterator[Operated]:
    """A gateway that checks its vendor all the time."""
    async with operated(tmp_path, OFTEN) as running:
        running.vendor.script_json({"object": "list", "data": []})
        yield running


async def test_operators_read_the_history(checked: Operated) -> None:
    """Over HTTP and by stub: down and up again, newest first, in pages that meet."""
    async with health_pages(checked.stack.url) as pages:
        await pages.until_provider("openai", lambda found: found["state"] == "up")
        checked.vendor.script_json({}, status=500)
        await pages.until_provider("openai", lambda found: found["state"] == "down")
        checked.vendor.script_json({"object": "list", "data": []})
        await pages.until_provider("openai", lambda found: found["state"] == "up")
    async with checked.database() as database:
        stored = await until_stored(database, went_down_and_up, CheckFilter(provider="openai"))
    query = {"provider": "openai", "page_size": "2", "end_time": _later()}
    first = await checked.call("GET", "/admin/v1/provider-checks", key=checked.admin, query=query)
    second = await checked.call(
        "GET",
        "/admin/v1/provider-checks",
        key=checked.admin,
        query={**query, "page_token": first.body["next_page_token"]},
    )
    end = Timestamp()
    end.FromMilliseconds(stored[0].checked_at + 1)
    async with checked.stack.channel() as channel:
        by_stub = await AdminServiceStub(channel).ListProviderChecks(
            ListProviderChecksRequest(provider="openai", end_time=end, page_size=1000),
            metadata=(("x-api-key", checked.admin),),
        )

    times = [each["check_time"] for page in (first, second) for each in page.body["checks"]]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == 4
    assert {each.state for each in by_stub.checks} == {"up", "down"}
    assert {each.reason for each in by_stub.checks if each.state == "down"} == {"PROVIDER_ERROR"}
    assert [each.check_time.ToMilliseconds() for each in by_stub.checks] == [each.checked_at for each in stored]
    assert {each.provider for each in by_stub.checks} == {"openai"}


def went_down_and_up(found: list[ProviderCheck]) -> bool:
    states = [each.up for each in reversed(found)]
    return False in states and True in states[states.index(False) :] and len(states) >= 4


def _later() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))


async def test_the_history_needs_an_operator_s_key(checked: Operated) -> None:
    """It asks the database, which nobody may have done without a key."""
    reply = await checked.call("GET", "/admin/v1/provider-checks")
    nobody = await checked.call("GET", "/admin/v1/provider-checks", key="sk-nobody")

    assert (reply.status, nobody.status) == (403, 401)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        pytest.param({"page_size": "-1"}, "page_size", id="negative page"),
        pytest.param({"page_token": "nonsense"}, "page_token", id="forged token"),
        pytest.param({"provider": "a\0b"}, "provider", id="unprintable provider"),
    ],
)
async def test_a_wrong_question_names_its_field(checked: Operated, query: dict[str, str], param: str) -> None:
    """422 with `param`."""
    reply = await checked.call("GET", "/admin/v1/provider-checks", key=checked.admin, query=query)

    assert (reply.status, reply.body["error"]["param"]) == (422, param)


async def test_checks_go_on_while_the_database_is_away(checked: Operated) -> None:
    """What is known stays current, and the vendor is still asked."""
    async with health_pages(checked.stack.url) as pages, checked.database() as database:
        await pages.until_provider("openai", lambda found: found["state"] == "up")
        async with renamed(database, "provider_health"):
            checked.vendor.script_json({}, status=503)
            found = await pages.until_provider("openai", lambda found: found["state"] == "down")
            reply = await checked.call("GET", "/admin/v1/provider-checks", key=checked.admin)

    assert found["reason"] == "PROVIDER_OVERLOADED"
    assert reply.status == 503

"""A gateway with an operator: a key with the admin right, a priced vendor, and JSON calls through Envoy."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import sqlalchemy as sa

from gateway.config import load
from gateway.state import open_stored
from gateway.storage.database import Database, open_database
from tests.support.stack import KEY, Stack, private_state, running_stack
from tests.support.vendor import Vendor, running_vendor

CONFIG = """
models:
  openai/priced:
    prices: {input: 1000000000, output: 2000000000}
"""
"""A token of a prompt costs 1000 nano-dollars, one of an answer 2000."""
CHAT = {"model": "openai/priced", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class Operated:
    """The gateway, its vendor, the operator's secret, and a session at everyone's port."""

    stack: Stack
    vendor: Vendor
    admin: str
    http: aiohttp.ClientSession

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str = KEY, query: Mapping[str, str] | None = None
    ) -> Reply:
        """Send JSON and return the answer: JSON decoded, or text. Paths of operators go to their port."""
        base = self.stack.admin_url if path.startswith("/admin/") else self.stack.url
        return await self.call_at(base, method, path, body, key=key, query=query)

    async def call_at(
        self, base: str, method: str, path: str, body: Any = None, *, key: str, query: Mapping[str, str] | None = None
    ) -> Reply:
        """Do the same at a port of the test's choice."""
        headers = {"authorization": f"Bearer {key}"}
        async with self.http.request(method, base + path, json=body, params=query, headers=headers) as answer:
            is_json = answer.content_type == "application/json"
            return Reply(answer.status, answer.headers, await (answer.json() if is_json else answer.text()))

    def database(self) -> AbstractAsyncContextManager[Database]:
        """Open the gateway's database beside it."""
        return open_database(self.stack.settings.storage.database_url.reveal())

    async def new_key(self, **fields: Any) -> tuple[str, str]:
        """Make a key and return its id and secret."""
        made = await self.call("POST", "/admin/v1/keys", {"name": "test", **fields}, key=self.admin)
        assert made.status == 200, made.body
        return made.body["key"]["id"], made.body["secret"]


async def until(true: Callable[[], Awaitable[bool]], limit_s: float = 10) -> None:
    """Return when `true` says so: what one process stores, others see a little later."""
    async with asyncio.timeout(limit_s):
        while not await true():  # noqa: ASYNC110  # the other process tells nobody
            await asyncio.sleep(0.05)


@asynccontextmanager
async def renamed(database: Database, table: str) -> AsyncIterator[None]:
    """Hide a table, so that queries fail as they do in an outage."""
    async with database.writing() as connection:
        await connection.execute(sa.text(f"ALTER TABLE {table} RENAME TO hidden_{table}"))
    try:
        yield
    finally:
        async with database.writing() as connection:
            await connection.execute(sa.text(f"ALTER TABLE hidden_{table} RENAME TO {table}"))


@asynccontextmanager
async def operated(
    folder: Path, environment: Mapping[str, str] | None = None, yaml: str = ""
) -> AsyncIterator[Operated]:
    """Start one. Its provider `openai` is the vendor."""
    (folder / "empty.yaml").touch()
    async with open_stored(load(private_state(folder), folder / "empty.yaml").storage) as stored:
        _, secret = await stored.keys.create("operator", admin=True)
    async with running_vendor() as vendor:
        settings = {
            "OPENAI_API_KEY": "sk-vendor",
            "OPENAI_BASE_URL": vendor.url + "/v1",
            "AI_GATEWAY_MAX_RETRIES": "0",
            **(environment or {}),
        }
        async with (
            running_stack(folder, settings, CONFIG + yaml) as stack,
            aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(total=20)) as http,
        ):
            yield Operated(stack, vendor, secret.reveal(), http)

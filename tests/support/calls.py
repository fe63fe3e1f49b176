"""Calls as the pipeline makes them, for tests below the edges."""

import json
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gateway.admission.admission import Admission
from gateway.admission.price_book import Book
from gateway.catalog.known import KnownModels
from gateway.config import (
    AccessSettings,
    LimitSettings,
    LimitSpec,
    ProviderSettings,
    Secret,
    Settings,
    StorageSettings,
    TimeSettings,
)
from gateway.dispatch.ask import ChatAsk
from gateway.dispatch.catalog import Catalog
from gateway.dispatch.chat import ChatDispatcher
from gateway.http.client import HttpClient
from gateway.lifecycle import Lifecycle
from gateway.providers.base import ChatCall
from gateway.providers.openai import OpenAIProvider
from gateway.state import open_state
from gateway.telemetry.record import CallRecord
from gateway.wire.chat import parse_chat_request
from tests.support.vendor import Vendor

HELLO = [{"role": "user", "content": "hello"}]


def body_of(**fields: Any) -> bytes:
    """Return a chat request for `openai/gpt-test`."""
    return json.dumps({"model": "openai/gpt-test", "messages": HELLO, **fields}).encode()


def call_of(body: bytes, model: str = "gpt-test") -> ChatCall:
    return ChatCall(request=parse_chat_request(body)[0], body=body, model=model, request_id="req-1")


def ask_of(body: bytes, timeout: float | None = None) -> ChatAsk:
    return ChatAsk.parse(body, request_id="req-1", started=time.monotonic(), timeout=timeout, record=CallRecord())


def settings_of(vendor: Vendor, **more: Any) -> ProviderSettings:
    return ProviderSettings(
        **{"kind": "openai", "base_url": vendor.url + "/v1", "api_key": Secret("sk-vendor-secret"), **more}
    )


@asynccontextmanager
async def provider_for(vendor: Vendor, name: str = "openai", **settings: Any) -> AsyncIterator[OpenAIProvider]:
    """Yield an OpenAI-shaped provider whose vendor is `vendor`."""
    async with HttpClient(connect_timeout=5) as session:
        provider = OpenAIProvider(name, settings_of(vendor, **settings), session)
        yield provider
        await provider.aclose()


@asynccontextmanager
async def dispatcher_for(
    vendors: Mapping[str, Vendor],
    aliases: Mapping[str, list[str]] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    **limits: Any,
) -> AsyncIterator[ChatDispatcher]:
    """Yield the pipeline over one provider a vendor; `limits` are fields of TimeSettings."""
    async with HttpClient(connect_timeout=5) as session:
        providers = {}
        for name, vendor in vendors.items():
            provider_settings = settings_of(vendor, **(settings or {}).get(name, {}))
            providers[name] = (OpenAIProvider(name, provider_settings, session), provider_settings)
        known = KnownModels({}, {}, {})
        catalog = Catalog(providers, aliases or {}, known)
        async with admission_of(known.facts) as admission:
            yield ChatDispatcher(catalog, TimeSettings(**limits), admission, Lifecycle())
        for provider, _ in providers.values():
            await provider.aclose()


@asynccontextmanager
async def admission_of(book: Book) -> AsyncIterator[Admission]:
    """Yield admission without limits, on a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            access=AccessSettings(require_auth=False),
            limits=LimitSettings(key=LimitSpec()),
            storage=StorageSettings(database_url=Secret(f"sqlite:///{folder}/gateway.db")),
        )
        async with open_state(settings) as state:
            _, admission = state.serve_by(settings, book)
            yield admission

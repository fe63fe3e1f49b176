"""What vendors list, kept: a slow or dead vendor costs nothing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from gateway.dispatch.listing import Listing
from gateway.errors import ProviderError, UnsupportedFeature
from gateway.providers.base import (
    Block,
    ChatCall,
    EmbeddingCall,
    ListedModel,
    ProviderCompletion,
    ProviderEmbeddings,
)


class ListingProvider:
    """A provider that only lists. `answer` is what it lists, or raises; `gate` holds the answer back."""

    name = "vendor"

    def __init__(self, *models: str) -> None:
        self.answer: list[str] | Exception = list(models)
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls = 0

    async def models(self) -> list[ListedModel]:
        self.calls += 1
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return [ListedModel(id=name) for name in self.answer]

    async def complete(self, call: ChatCall) -> ProviderCompletion:
        raise NotImplementedError

    def stream(self, call: ChatCall) -> AsyncGenerator[Block]:
        raise NotImplementedError

    async def embed(self, call: EmbeddingCall) -> ProviderEmbeddings:
        raise NotImplementedError

    async def check(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing to release."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def listing_of(provider: ListingProvider, clock: Clock, wait_s: float = 5.0) -> AsyncIterator[Listing]:
    listing = Listing({"vendor": provider}, clock, refresh_s=60, timeout_s=30, wait_s=wait_s)
    try:
        yield listing
    finally:
        await listing.aclose()


def ids(listing: Listing) -> list[str] | None:
    models = listing.models("vendor")
    return None if models is None else list(models)


async def test_the_first_reader_waits_for_the_list() -> None:
    """Otherwise the first answer would always be short."""
    async with listing_of(ListingProvider("a", "b"), Clock()) as listing:
        await listing.refresh(["vendor"])

        assert ids(listing) == ["a", "b"]


async def test_a_fresh_list_is_not_fetched_again() -> None:
    """However often it is read."""
    provider = ListingProvider("a")
    async with listing_of(provider, Clock()) as listing:
        for _ in range(3):
            await listing.refresh(["vendor"])

    assert provider.calls == 1


async def test_an_old_list_is_answered_at_once_and_fetched_behind() -> None:
    """The reader gets the old list; the next one the new."""
    provider, clock = ListingProvider("old"), Clock()
    async with listing_of(provider, clock) as listing:
        await listing.refresh(["vendor"])
        clock.now += 61
        provider.answer = ["new"]
        provider.gate.clear()
        await asyncio.wait_for(listing.refresh(["vendor"]), 1)
        assert ids(listing) == ["old"]

        provider.gate.set()
        await listing.settled()
        assert ids(listing) == ["new"]


async def test_readers_at_once_share_one_fetch() -> None:
    """A vendor is asked once."""
    provider = ListingProvider("a")
    async with listing_of(provider, Clock()) as listing:
        await asyncio.gather(*(listing.refresh(["vendor"]) for _ in range(10)))

    assert provider.calls == 1


async def test_a_failing_vendor_keeps_its_last_good_list() -> None:
    """And is left alone until the list is due again."""
    provider, clock = ListingProvider("a"), Clock()
    async with listing_of(provider, clock) as listing:
        await listing.refresh(["vendor"])
        provider.answer = ProviderError("down")
        for _ in range(2):
            clock.now += 61
            for _ in range(3):
                await listing.refresh(["vendor"])
                await listing.settled()

        assert ids(listing) == ["a"]
    assert provider.calls == 3


async def test_a_vendor_without_a_list_has_none() -> None:
    """Its models are the configured ones."""
    provider = ListingProvider()
    provider.answer = UnsupportedFeature("no list")
    async with listing_of(provider, Clock()) as listing:
        await listing.refresh(["vendor"])

        assert ids(listing) is None


async def test_a_hanging_vendor_holds_up_only_its_first_reader() -> None:
    """Who waits a little, once."""
    provider = ListingProvider("a")
    provider.gate.clear()
    async with listing_of(provider, Clock(), wait_s=0.01) as listing:
        await listing.refresh(["vendor"])
        listing.wait_s = 3600.0
        await asyncio.wait_for(listing.refresh(["vendor"]), 1)

        assert ids(listing) is None


async def test_a_vendor_that_never_answers_is_given_up() -> None:
    """The fetch ends by itself."""
    provider = ListingProvider("a")
    provider.gate.clear()
    listing = Listing({"vendor": provider}, Clock(), timeout_s=0.01)
    await listing.refresh(["vendor"])

    assert ids(listing) is None
    await asyncio.wait_for(listing.settled(), 1)


async def test_closing_ends_a_fetch_under_way() -> None:
    """No task outlives the gateway."""
    provider = ListingProvider("a")
    provider.gate.clear()
    async with listing_of(provider, Clock(), wait_s=0.01) as listing:
        await listing.refresh(["vendor"])

    await asyncio.wait_for(listing.settled(), 1)

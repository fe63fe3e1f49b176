"""What admission knows of a call, and what it works with."""

from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

from gateway.admission.keys import Caller
from gateway.admission.limits.model import Limiter, LimitRule
from gateway.admission.price_book import Quote
from gateway.config import ProviderSettings, Secret
from gateway.storage.ledger import Ledger
from gateway.telemetry.record import CallRecord


class Named(Protocol):
    """A provider, as far as admission sees it."""

    @property
    def name(self) -> str:
        """The provider's name."""
        ...


class Target(Protocol):
    """Where a call may go: a provider and its own name for the model."""

    @property
    def provider(self) -> Named: ...

    @property
    def model(self) -> str: ...

    @property
    def settings(self) -> ProviderSettings: ...


class CallFacts(Struct, frozen=True, kw_only=True):
    """What admission must know of a call. Tokens are upper bounds; `output_cap` is per choice."""

    caller: Caller
    request_id: str
    operation: Literal["chat", "embeddings"]
    prompt_tokens: int
    output_cap: int | None = None
    choices: int = 1
    generates: bool = True
    streams: bool = False
    provider_key: Secret | None = None
    lease_s: float
    record: CallRecord


class Desk(Struct, frozen=True):
    """What every permit works with. `clock` tells Unix milliseconds."""

    ledger: Ledger
    limiter: Limiter
    quote: Callable[[str, str], Quote]
    rules: Callable[[str], tuple[LimitRule, ...]]
    """The rules of the gateway and of one provider."""
    new_id: Callable[[int], str]
    """Makes ids of what begins at a time."""
    clock: Callable[[], int]
    default_output_tokens: int

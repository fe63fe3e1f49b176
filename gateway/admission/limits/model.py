"""The vocabulary of limits: rules, charges, grants, and what a limiter promises."""

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from gateway.admission.limits.windows import Window, refill_ms, slice_end

Scope = Literal["key", "project", "provider", "gateway"]
Metric = Literal["requests", "tokens", "concurrent", "spend_nano"]
Strategy = Literal["fixed", "sliding", "token_bucket"]

MAX_AMOUNT: Final = 2**52
"""The largest amount of a rule and of a charge (4.5 million dollars): their sum stays exact in Lua, whose numbers are
doubles."""


class Reading(Struct, frozen=True, gc=False):
    """A rule's count at one moment.

    `mark` tells when it changes: for a calendar window its end, for a sliding window the newest slice in use (in a
    refusal: the slice whose leaving makes room), for a token bucket the rest of its last division, for concurrent calls
    the end of the first lease.
    """

    used: int
    mark: int


class LimitRule(Struct, frozen=True, kw_only=True, cache_hash=True):
    """At most `amount` of `metric` in a `window`.

    Strategies:

    - `fixed` counts by calendar window in UTC: the minute, the day, the month. Around a boundary, twice the amount
      can pass in a short time.
    - `sliding` never lets more than the amount pass in any stretch of 60 s, 24 h or 31 days. Use leaves the count in
      slices of a 60th of that, so it is up to one slice late.
    - `token_bucket` holds `amount` and refills evenly, `amount` in 60 s, 24 h or 31 days.

    `concurrent` has no window and ignores the strategy. Spend is in nano-dollars. Rules that differ in the amount only
    share their count, so changing an amount keeps what is used; the rules of one call must differ in something else.
    Raises ValueError for a rule that makes no sense.
    """

    scope: Scope
    scope_id: str = ""
    metric: Metric
    window: Window | None = None
    strategy: Strategy = "fixed"
    amount: int

    def __post_init__(self) -> None:
        if not 0 <= self.amount <= MAX_AMOUNT:
            raise ValueError(f"a limit's amount is from 0 to {MAX_AMOUNT}, not {self.amount}")
        if (self.window is None) != (self.metric == "concurrent"):
            raise ValueError("a limit has a window, except one of concurrent calls, which has none")

    def wait_ms(self, reading: Reading, need: int, now_ms: int) -> int | None:
        """Return in how many milliseconds `need` fits if nothing else comes; None if it never does."""
        return None if need > self.amount else self._free_ms(reading, reading.used + need - self.amount, now_ms)

    def reset_ms(self, reading: Reading, now_ms: int) -> int:
        """Return in how many milliseconds the whole amount is free if nothing else comes."""
        return self._free_ms(reading, reading.used, now_ms) if reading.used else 0

    def _free_ms(self, reading: Reading, missing: int, now_ms: int) -> int:
        if self.window is None or self.strategy == "fixed":
            return max(0, reading.mark - now_ms)
        if self.strategy == "sliding":
            return slice_end(self.window, reading.mark) - now_ms
        return refill_ms(self.window, self.amount, missing, reading.mark)


class Charge(Struct, frozen=True, kw_only=True, gc=False):
    """What a call uses: the upper bound when it is reserved, the actual when it is settled. All zero or more."""

    requests: int = 1
    tokens: int = 0
    spend_nano: int = 0

    def of(self, metric: Metric) -> int:
        """Return the charge against rules of `metric`. A call is one concurrent call, whatever else it uses."""
        if metric == "requests":
            return self.requests
        if metric == "tokens":
            return self.tokens
        if metric == "spend_nano":
            return self.spend_nano
        return 1


NOTHING: Final = Charge(requests=0)


class Standing(Struct, frozen=True):
    """How a rule stands, given its reading at `now_ms`."""

    rule: LimitRule
    reading: Reading
    now_ms: int

    @property
    def used(self) -> int:
        """What is used."""
        return self.reading.used

    @property
    def remaining(self) -> int:
        """What is left; zero when more is used than allowed."""
        return max(0, self.rule.amount - self.reading.used)

    @property
    def reset_ms(self) -> int:
        """In how many milliseconds all of it is free again."""
        return self.rule.reset_ms(self.reading, self.now_ms)


def standings(rules: Sequence[LimitRule], readings: Sequence[Reading], now_ms: int) -> list[Standing]:
    """Return how each rule stands, given its reading at `now_ms`."""
    return [Standing(rule, reading, now_ms) for rule, reading in zip(rules, readings, strict=True)]


class Grant(Struct, eq=False):
    """A reservation that a limiter made at `at_ms` (Unix time). Only the limiter reads or changes its fields."""

    id: str
    rules: tuple[LimitRule, ...]
    charge: Charge
    at_ms: int
    readings: Sequence[Reading]
    local: bool = False
    """Whether it was made in process because the shared store was away."""
    open: bool = True

    @property
    def standing(self) -> list[Standing]:
        """How the rules stood right after the reservation, itself counted."""
        return standings(self.rules, self.readings, self.at_ms)


class Limiter(Protocol):
    """Decides over calls. Safe for any number of concurrent tasks, and for cancelled ones."""

    async def reserve(self, rules: Sequence[LimitRule], charge: Charge, lease_s: float) -> Grant:
        """Count `charge` against every rule at once, or against none.

        The calls that hold a reservation together never exceed a rule. A concurrent call counts until it is settled
        or released, and no longer than `lease_s`, so that a crashed holder frees its place. Its other counts stay as
        reserved until their window ends. Raises RateLimited, QuotaExceeded, and Overloaded when the store is away.
        """
        ...

    def settle(self, grant: Grant, actual: Charge) -> Awaitable[None]:
        """Replace what was reserved by what was used, in the windows it was reserved in.

        That begins at once, and goes on whether or not somebody awaits its end, which is what is returned. Only the
        first settle or release of a grant counts. Never raises for a store that is away: the reservation then stays
        counted at its bound.
        """
        ...

    def release(self, grant: Grant) -> Awaitable[None]:
        """Give all of the reservation back, in the manner of `settle`."""
        ...

    async def standing(self, rules: Sequence[LimitRule]) -> list[Standing]:
        """Return how each rule stands now, without counting anything. Raises Overloaded as `reserve` does."""
        ...


class Used(Struct, frozen=True, kw_only=True):
    """What the ledger says was used at `at_ns` (Unix time) of what these rules limit."""

    rules: Sequence[LimitRule]
    charge: Charge
    at_ns: int


History = Callable[[], Awaitable[Sequence[Used]]]
"""Reads from the ledger what still counts, open reservations at their bound, in the order of time."""


class _Done:
    """What has ended already."""

    def __await__(self) -> Generator[None]:
        return
        yield


DONE: Final = _Done()

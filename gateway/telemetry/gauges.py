"""What stands right now: open reservations, the ledger's backlog, and the limits that all callers share."""

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, Gauge

_NANO: Final = 1_000_000_000


class LimitState(Struct, frozen=True):
    """How one limit stands. Spend is in nano-dollars; `window` is empty for concurrent calls."""

    scope: str
    subject: str
    metric: str
    window: str
    amount: int
    remaining: int


class StateGauges:
    """Gauges that are read when the page is, so that calls pay nothing for them.

    A key's and a project's limits are left out: there can be any number of them, and `GET /api/v1/ai/quota` and
    `x-ratelimit-*` tell of each.
    """

    def __init__(
        self, registry: CollectorRegistry, *, reservations: Callable[[], int], backlog: Callable[[], int]
    ) -> None:
        """Both functions are called in another thread."""
        Gauge(
            "llmgateway_reservations_open", "Reservations of calls that are not settled yet.", registry=registry
        ).set_function(reservations)
        Gauge(
            "llmgateway_ledger_backlog", "Records that wait to be stored in the database.", registry=registry
        ).set_function(backlog)
        labels = ("scope", "subject", "metric", "window")
        self._amount = Gauge(
            "llmgateway_limit",
            "A limit of the gateway or of a provider, in its metric's unit.",
            labels,
            registry=registry,
        )
        self._remaining = Gauge(
            "llmgateway_limit_remaining", "What is left of that limit now.", labels, registry=registry
        )

    def limits(self, states: Iterable[LimitState]) -> None:
        """Show these limits and no others."""
        self._amount.clear()
        self._remaining.clear()
        for state in states:
            metric, unit = metric_label(state.metric)
            labels = (state.scope, state.subject, metric, state.window)
            self._amount.labels(*labels).set(state.amount / unit)
            self._remaining.labels(*labels).set(state.remaining / unit)


def metric_label(metric: str) -> tuple[str, int]:
    """Return what a limit's metric is called on the page, and how much of it makes one there."""
    return ("spend_usd", _NANO) if metric == "spend_nano" else (metric, 1)

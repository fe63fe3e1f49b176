"""Prometheus metrics. Labels are bounded: methods and reasons are closed sets, providers are configured, and models
beyond a number of them share the label `other`.
"""

import platform
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from gateway import __version__
from gateway.errors import PROVIDER_FAILURES, Fault, GatewayError
from gateway.telemetry.gauges import metric_label
from gateway.telemetry.instruments import Spread, Tally
from gateway.telemetry.outcomes import ProviderOutcomes
from gateway.telemetry.record import CallRecord, shown_name
from gateway.telemetry.usage import cached_tokens, reasoning_tokens

_LATENCY_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_TOKEN_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2.5)
_OVERHEAD_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
_MAX_MODELS: Final = 200


class Metrics:
    """The gateway's instruments on one registry."""

    def __init__(self, registry: CollectorRegistry, commit: str = "unknown") -> None:
        self.registry: Final = registry
        self._requests = Tally(
            "llmgateway_requests",
            "Finished RPCs by outcome: OK, CANCELLED or a row of the error table.",
            ("method", "provider", "reason"),
            registry,
        )
        self._latency = Spread(
            "llmgateway_request_seconds",
            "Time from the start of an RPC to its end.",
            ("method", "provider"),
            registry,
            buckets=_LATENCY_BUCKETS,
        )
        self._first_token = Spread(
            "llmgateway_first_token_seconds",
            "Time from the start of a streaming RPC to its first chunk.",
            ("provider",),
            registry,
            buckets=_LATENCY_BUCKETS,
        )
        self._token_gap = Spread(
            "llmgateway_token_gap_seconds",
            "Time between two tokens of a stream, on its average.",
            ("provider",),
            registry,
            buckets=_TOKEN_BUCKETS,
        )
        self._overhead = Spread(
            "llmgateway_overhead_seconds",
            "What the gateway adds to an answer, or to a stream's first chunk.",
            ("method",),
            registry,
            buckets=_OVERHEAD_BUCKETS,
        )
        self._tokens = Tally(
            "llmgateway_tokens",
            "Tokens that providers reported; prompt includes cached, completion includes reasoning.",
            ("provider", "model", "kind"),
            registry,
        )
        self._cost = Tally(
            "llmgateway_cost_usd",
            "What calls cost, in US dollars, at the prices known; the ledger has it to the nano-dollar.",
            ("provider", "model"),
            registry,
        )
        self._limit_refusals = Tally(
            "llmgateway_limit_refusals",
            "Calls that a limit of ours refused, by whose limit it is and what it counts.",
            ("scope", "metric", "window"),
            registry,
        )
        self._attempts = Tally(
            "llmgateway_attempts",
            "Calls to providers, retries and failover included, by outcome.",
            ("provider", "reason"),
            registry,
        )
        self._provider_up = Gauge(
            "llmgateway_provider_up",
            "Whether a provider answered its last check; none before the first.",
            ("provider",),
            registry=registry,
        )
        self._dependency_up = Gauge(
            "llmgateway_dependency_up",
            "Whether a thing that the gateway needs was there when looked at last.",
            ("dependency",),
            registry=registry,
        )
        self.in_flight = 0
        """How many RPCs are under way."""
        Gauge("llmgateway_in_flight", "RPCs under way.", registry=registry).set_function(lambda: self.in_flight)
        self.config_reloads: Final = Counter(
            "llmgateway_config_reloads", "Reloads of the settings.", ("result",), registry=registry
        )
        self._config_info = Gauge(
            "llmgateway_config_info", "The settings in force; always 1.", ("version",), registry=registry
        )
        self._config_loaded = Gauge(
            "llmgateway_config_load_timestamp_seconds", "When the settings in force were loaded.", registry=registry
        )
        build = Gauge(
            "llmgateway_build_info", "What runs; always 1.", ("version", "commit", "python"), registry=registry
        )
        build.labels(__version__, commit, platform.python_version()).set(1)
        ProcessCollector(registry=registry)
        self._checked: set[str] = set()
        self._models: set[tuple[str, str]] = set()
        self.outcomes: Final = ProviderOutcomes()
        """How calls at each provider went lately."""

    def configured(self, version: str, when: float, providers: Iterable[str]) -> None:
        """Note the settings in force, when they were loaded (seconds since 1970), and their providers."""
        self._config_info.clear()
        self._config_info.labels(version).set(1)
        self._config_loaded.set(when)
        names = tuple(providers)
        for gone in self._checked.difference(names):
            self._provider_up.remove(gone)
        self._checked.intersection_update(names)
        self.outcomes.keep(names)

    def provider_checked(self, provider: str, *, up: bool) -> None:
        """Note how a provider's check went."""
        self._checked.add(provider)
        self._provider_up.labels(provider).set(up)

    def dependency_seen(self, name: str, *, up: bool) -> None:
        """Note whether something that the gateway needs is there."""
        self._dependency_up.labels(name).set(up)

    def observe(self, method: str, reason: str, seconds: float, record: CallRecord) -> None:
        """Count one finished RPC."""
        provider = record.provider or ""
        self._requests.add(method, provider, reason)
        self._latency.observe(seconds, method, provider)
        for failed, error in record.failures:
            self._attempts.add(failed, error.reason.value)
            self.outcomes.add(failed, failed=error.reason in PROVIDER_FAILURES)
        if record.attempts > len(record.failures):
            self._attempts.add(provider, reason)
            self.outcomes.add(provider, failed=reason in PROVIDER_FAILURES)
            if reason == "OK":
                self._overhead.observe(max(0.0, (record.first_token_s or seconds) - record.upstream_s), method)
        if record.first_token_s is not None:
            self._first_token.observe(record.first_token_s, provider)
        if record.usage is not None or record.cost_nano:
            self._count_use(provider, self._model(provider, record.model or ""), record)
            if record.usage is not None and record.first_token_s is not None and record.usage.completion_tokens > 1:
                gap = (seconds - record.first_token_s) / (record.usage.completion_tokens - 1)
                self._token_gap.observe(gap, provider)

    def refused(self, error: GatewayError) -> None:
        """Count a refusal, if a limit of ours gave it; its details are then that limit."""
        told = error.details
        if error.fault is Fault.POLICY and "metric" in told:
            self._limit_refusals.add(told["scope"], metric_label(told["metric"])[0], told["window"])

    def _model(self, provider: str, model: str) -> str:
        model = shown_name(model)
        if (provider, model) not in self._models:
            if len(self._models) >= _MAX_MODELS:
                return "other"
            self._models.add((provider, model))
        return model

    def _count_use(self, provider: str, model: str, record: CallRecord) -> None:
        if record.cost_nano:
            self._cost.add(provider, model, amount=record.cost_nano / 1e9)
        usage = record.usage
        if usage is None:
            return
        self._tokens.add(provider, model, "prompt", amount=usage.prompt_tokens)
        self._tokens.add(provider, model, "completion", amount=usage.completion_tokens)
        if cached := cached_tokens(usage):
            self._tokens.add(provider, model, "cached", amount=cached)
        if reasoning := reasoning_tokens(usage):
            self._tokens.add(provider, model, "reasoning", amount=reasoning)

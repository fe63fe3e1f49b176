"""Prometheus metrics. Labels are bounded: methods, statuses and reasons are closed sets, providers are configured."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.telemetry.record import CallRecord

_LATENCY_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The gateway's instruments on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "llmgateway_requests",
            "Finished RPCs by outcome; reason is OK, CANCELLED or a row of the error table.",
            ("method", "reason", "provider"),
            registry=registry,
        )
        self._latency = Histogram(
            "llmgateway_request_seconds",
            "Time from the start of an RPC to its end.",
            ("method", "provider"),
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self._first_token = Histogram(
            "llmgateway_first_token_seconds",
            "Time from the start of a streaming RPC to its first chunk.",
            ("provider",),
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self._tokens = Counter(
            "llmgateway_tokens", "Tokens that providers reported.", ("provider", "kind"), registry=registry
        )
        self._config_info = Gauge(
            "llmgateway_config_info", "The settings in force; always 1.", ("version",), registry=registry
        )
        self._config_loaded = Gauge(
            "llmgateway_config_load_timestamp_seconds", "When the settings in force were loaded.", registry=registry
        )
        self.config_reloads = Counter(
            "llmgateway_config_reloads", "Reloads of the settings.", ("result",), registry=registry
        )
        self.in_flight = Gauge("llmgateway_in_flight", "RPCs under way.", registry=registry)

    def configured(self, version: str, when: float) -> None:
        """Note the settings in force and when they were loaded (seconds since 1970)."""
        self._config_info.clear()
        self._config_info.labels(version).set(1)
        self._config_loaded.set(when)

    def observe(self, method: str, reason: str, seconds: float, record: CallRecord) -> None:
        """Count one finished RPC."""
        provider = record.provider or ""
        self._requests.labels(method, reason, provider).inc()
        self._latency.labels(method, provider).observe(seconds)
        if record.first_token_s is not None:
            self._first_token.labels(provider).observe(record.first_token_s)
        if record.usage is not None:
            self._tokens.labels(provider, "prompt").inc(record.usage.prompt_tokens)
            self._tokens.labels(provider, "completion").inc(record.usage.completion_tokens)

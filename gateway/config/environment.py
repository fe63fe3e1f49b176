"""The environment: which variable is which setting, and how its text is read."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final


def environment() -> Mapping[str, str]:
    """Return the process environment; the only place that reads it."""
    return os.environ


def _csv(text: str) -> list[str]:
    return [item for part in text.split(",") if (item := part.strip())]


def _bool(text: str) -> bool:
    word = text.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError("expected true or false")


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("expected an integer") from None


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("expected a number") from None


def _milliseconds(text: str) -> float:
    return _float(text) / 1000


def _lower(text: str) -> str:
    return text.strip().lower()


ENVIRONMENT: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "SERVICE_HOST": ("service.host", str),
    "SERVICE_PORT": ("service.port", _int),
    "GRPC_PORT": ("service.grpc_port", _int),
    "METRICS_PORT": ("service.metrics_port", _int),
    "ADMIN_HOST": ("service.admin_host", str),
    "ADMIN_PORT": ("service.admin_port", _int),
    "MAX_BODY_BYTES": ("service.max_body_bytes", _int),
    "TLS_CERT_FILE": ("service.tls_cert_file", str),
    "TLS_KEY_FILE": ("service.tls_key_file", str),
    "TLS_CLIENT_CA_FILE": ("service.tls_client_ca_file", str),
    "MAX_CONNECTIONS": ("service.max_connections", _int),
    "MAX_CONCURRENT_STREAMS": ("service.max_concurrent_streams", _int),
    "REQUEST_READ_TIMEOUT_S": ("service.request_read_timeout_s", _float),
    "MAX_IN_FLIGHT": ("service.max_in_flight", _int),
    "SHUTDOWN_DELAY_S": ("service.shutdown_delay_s", _float),
    "SHUTDOWN_GRACE_S": ("service.shutdown_grace_s", _float),
    "ALLOWED_API_KEYS": ("access.api_keys", _csv),
    "REQUIRE_AUTH": ("access.require_auth", _bool),
    "CORS_ALLOW_ORIGINS": ("access.cors_allow_origins", _csv),
    "ENABLE_SECURITY_HEADERS": ("access.security_headers", _bool),
    "AI_GATEWAY_REQUEST_TIMEOUT": ("time.request_s", _milliseconds),
    "REQUEST_TIMEOUT_S": ("time.request_s", _float),
    "STREAM_TIMEOUT_S": ("time.stream_s", _float),
    "FIRST_TOKEN_TIMEOUT_S": ("time.first_token_s", _float),
    "STREAM_IDLE_TIMEOUT_S": ("time.stream_idle_s", _float),
    "STREAM_GATHER_MS": ("time.gather_s", _milliseconds),
    "AI_GATEWAY_MAX_RETRIES": ("time.max_retries", _int),
    "OPENAI_API_KEY": ("providers.openai.api_key", str),
    "OPENAI_BASE_URL": ("providers.openai.base_url", str),
    "OPENAI_MODEL": ("providers.openai.models", _csv),
    "OPENAI_MAX_TOKENS": ("providers.openai.max_output_tokens", _int),
    "AI_QUOTA_DAILY_LIMIT": ("limits.key.requests_per_day", _int),
    "AI_QUOTA_MONTHLY_LIMIT": ("limits.key.requests_per_month", _int),
    "AI_QUOTA_MONTHLY_SPEND_LIMIT": ("limits.key.spend_per_month", str),
    "UNKNOWN_PRICE": ("limits.unknown_price", _lower),
    "DATABASE_URL": ("storage.database_url", str),
    "REDIS_URL": ("storage.redis_url", str),
    "REDIS_AWAY": ("storage.redis_away", _lower),
    "JOURNAL_DIR": ("storage.journal_dir", str),
    "GATEWAY_MASTER_KEY": ("storage.master_keys", _csv),
    "GEMINI_API_KEY": ("providers.gemini.api_key", str),
    "GEMINI_BASE_URL": ("providers.gemini.base_url", str),
    "CEREBRAS_API_KEY": ("providers.cerebras.api_key", str),
    "CEREBRAS_BASE_URL": ("providers.cerebras.base_url", str),
    "OLLAMA_HOST": ("providers.ollama.base_url", str),
    "OLLAMA_API_KEY": ("providers.ollama.api_key", str),
    "PROVIDER_CHECK_INTERVAL_S": ("health.check_interval_s", _float),
    "PROVIDER_CHECK_TIMEOUT_S": ("health.check_timeout_s", _float),
    "PROVIDER_CHECK_HISTORY_DAYS": ("health.history_days", _int),
    "LOG_LEVEL": ("telemetry.log_level", _lower),
    "LOG_FORMAT": ("telemetry.log_format", _lower),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("telemetry.otlp_endpoint", str),
    "OTEL_SERVICE_NAME": ("telemetry.service_name", str),
    "OTEL_TRACES_SAMPLER": ("telemetry.traces_sampler", _lower),
    "OTEL_TRACES_SAMPLER_ARG": ("telemetry.traces_sampler_arg", _float),
    "TRACE_GENAI_NAMES": ("telemetry.trace_genai_names", _bool),
    "TRACE_PROMPTS": ("telemetry.trace_prompts", _bool),
}
"""Environment variable -> setting and how its text is read. Where two name one setting, the later row wins."""

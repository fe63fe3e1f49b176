"""Every setting, its default and what may stand there.

Times are in seconds, sizes in bytes, unless a name says otherwise.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from gateway.catalog.entries import ModelFacts
from gateway.config.secret import Secret

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=86400 * 365)]
Count = Annotated[int, Meta(ge=0, le=2**52)]
ModelId = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_.-]*/.+$")]
Name = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_.-]*$")]


class ServiceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it listens. Port 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: Port = 8080
    """Envoy: JSON and native gRPC."""
    grpc_port: Port = 50051
    """gRPC without Envoy."""
    metrics_port: Port = 9464
    admin_host: str = "127.0.0.1"
    admin_port: Port = 9465
    """Envoy for operators: what `port` has, and AdminService, which is nowhere else behind Envoy. 0: no such port."""
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 20 * 1024 * 1024
    tls_cert_file: str = ""
    """The PEM certificate, its chain behind it, of Envoy's ports and of `grpc_port`; empty: no TLS."""
    tls_key_file: str = ""
    tls_client_ca_file: str = ""
    """Callers need a certificate of one of these authorities; empty: they need none."""
    max_connections: Annotated[int, Meta(ge=1)] = 50_000
    """How many connections Envoy holds at most, and how many each worker's own port."""
    max_concurrent_streams: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1000
    """How many calls one HTTP/2 connection carries at a time."""
    request_read_timeout_s: Seconds = 60.0
    """How long a request may take to arrive whole, at every port; Envoy gives its headers 10 seconds of it at most."""
    max_in_flight: Annotated[int, Meta(ge=0)] = 0
    """How many calls a worker has in hand at most; further ones are turned away at once. 0: no limit."""
    shutdown_delay_s: Annotated[float, Meta(ge=0)] = 0.1
    """How long new calls are still taken after SIGTERM, while load balancers notice NOT_SERVING."""
    shutdown_grace_s: Seconds = 30.0
    """How long running calls may take to finish after that."""


class AccessSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may call."""

    api_keys: tuple[Secret, ...] = ()
    require_auth: bool = True
    cors_allow_origins: tuple[str, ...] = ()
    security_headers: bool = True


class TimeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long things may take when the caller sets no deadline."""

    request_s: Seconds = 60.0
    """A whole answer, or a stream until its first chunk."""
    stream_s: Seconds = 600.0
    """A whole stream."""
    first_token_s: Seconds = 60.0
    stream_idle_s: Seconds = 30.0
    """Silence between two chunks."""
    connect_s: Seconds = 5.0
    gather_s: Annotated[float, Meta(ge=0, le=0.1)] = 0.03
    """How long chunks of streams wait for each other at most, where there are many: less CPU a chunk.

    A first chunk, and one that brings the answer's end, go at once.
    """
    max_retries: Annotated[int, Meta(ge=0, le=10)] = 2


class ProviderSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider: a vendor that differs only in address, key and flags is a row of configuration."""

    kind: Literal["openai", "cerebras", "gemini", "ollama", "custom"]
    base_url: str = ""
    api_key: Secret = Secret("")
    key_source: Literal["gateway", "client", "hybrid"] = "gateway"
    """Whose key pays: ours, the caller's own in `x-provider-api-key`, or the caller's if sent and else ours."""
    headers: dict[str, Secret] = {}
    """Sent with every request; some vendors want their key here."""
    models: tuple[str, ...] = ()
    """Models to answer for by bare name; `provider/model` reaches any other."""
    catalog: str = ""
    """The provider in the shipped catalog whose models these are, for example `openai`; empty: the same name."""
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    """The output cap sent when the caller sends none."""
    unknown_fields: Literal["refuse", "forward"] = "refuse"
    unsupported_parameters: Literal["refuse", "drop"] = "refuse"
    """What becomes of a request parameter that the provider does not have."""
    stream_usage: bool = True
    """Whether the vendor understands `stream_options.include_usage`."""
    chunk_delay_s: Annotated[float, Meta(ge=0)] = 0.0
    """Kind `custom` only: the pause before each chunk of a stream."""

    def takes(self, field: str | None) -> bool:
        """Tell whether the provider takes this top-level request field, which OpenAI does not document."""
        return self.unknown_fields == "forward" or field in VENDOR_FIELDS.get(self.kind, ())

    def secrets(self) -> list[bytes]:
        """Return the texts that a vendor is sent and a caller must not see; none is empty."""
        return [secret.reveal().encode() for secret in (self.api_key, *self.headers.values()) if secret]


VENDOR_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "cerebras": frozenset(
        {
            "clear_thinking",
            "disable_reasoning",
            "min_completion_tokens",
            "min_tokens",
            "model_parameters",
            "reasoning_format",
        }
    ),
    "gemini": frozenset({"google", "extra_body"}),
}
"""Kind -> the top-level fields of a chat request that only this kind of provider has."""


DEFAULT_KEY_LIMITS: Final[Mapping[str, Any]] = {
    "requests_per_day": 1000,
    "requests_per_month": 10_000,
    "spend_per_month": "10.00",
}


class LimitSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The limits of one key, project or provider, or of the gateway. 0 means no limit; unset takes the default."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrent: Count | None = None
    """Calls at one time."""
    requests_per_day: Count | None = None
    requests_per_month: Count | None = None
    spend_per_month: Annotated[str, Meta(pattern=r"^\d{1,6}(\.\d{1,9})?$")] | None = None
    """US dollars, as text: money is never a float."""
    strategy: Literal["fixed", "sliding", "token_bucket"] | None = None
    """How minutes are counted; days and months are the calendar's, in UTC."""


class LimitSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may be used."""

    key: LimitSpec = LimitSpec(**DEFAULT_KEY_LIMITS)
    """Every key without limits of its own."""
    providers: dict[Name, LimitSpec] = {}
    gateway: LimitSpec = LimitSpec()
    unknown_price: Literal["charge", "refuse"] = "charge"
    """What happens to a model without a known price: it is charged at `default_price`, or refused."""
    default_input_price: Annotated[str, Meta(pattern=r"^\d{1,6}(\.\d{1,9})?$")] = "5.00"
    """US dollars per million tokens, for models without a known price."""
    default_output_price: Annotated[str, Meta(pattern=r"^\d{1,6}(\.\d{1,9})?$")] = "20.00"
    default_output_tokens: Annotated[int, Meta(ge=1)] = 4096
    """The output cap where neither caller nor catalog has one; it is sent when tokens or spend are limited."""


class StorageSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where keys and calls are stored."""

    database_url: Secret = Secret("sqlite:///data/gateway.db")
    """`sqlite:///FILE` or `postgresql://...`."""
    redis_url: Secret = Secret("")
    """`redis://`, `rediss://` or `unix://`: where several processes count limits together. Default: each for itself."""
    redis_away: Literal["refuse", "count_alone"] = "refuse"
    """What happens to calls with limits while Redis is away: 503, or each process counts for itself."""
    journal_dir: str = ""
    """Where calls are written down first; must outlive the process. Default: beside the SQLite file, or data/journal.
    """
    master_keys: tuple[Secret, ...] = ()
    """Encrypt stored secrets: the first one writes, all of them read. Default: a file beside the SQLite file."""


class HealthSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How providers are checked in the background."""

    check_interval_s: Annotated[float, Meta(ge=0, le=86400)] = 30.0
    """The time between two checks of a provider; 0 turns them off."""
    check_timeout_s: Seconds = 5.0
    """When a check has failed that has no answer yet."""
    history_days: Annotated[int, Meta(ge=1, le=3660)] = 7
    """How long checks stay in the database."""


class TelemetrySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator sees."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    otlp_endpoint: Annotated[str, Meta(pattern="^(https?://.+)?$")] = ""
    """Base address of an OTLP/HTTP collector, e.g. `http://127.0.0.1:6006`; empty: no tracing."""
    service_name: str = "llmgateway"
    traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = "parentbased_always_on"
    traces_sampler_arg: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """The share of traces that the ratio samplers keep."""
    trace_genai_names: bool = False
    """Also OpenTelemetry's GenAI attribute names, beside OpenInference's."""
    trace_prompts: bool = False
    """Prompts and answers on spans, prompts in log lines."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything the gateway can be told."""

    service: ServiceSettings = ServiceSettings()
    access: AccessSettings = AccessSettings()
    time: TimeSettings = TimeSettings()
    providers: dict[Name, ProviderSettings] = {}
    aliases: dict[str, Annotated[tuple[str, ...], Meta(min_length=1)]] = {}
    """A model name that stands for others, tried in order, e.g. `fast: [openai/gpt-4o-mini, custom/echo]`."""
    limits: LimitSettings = LimitSettings()
    storage: StorageSettings = StorageSettings()
    models: dict[ModelId, ModelFacts] = {}
    """What the operator knows of models, before what vendors and the shipped catalog say. Keys are `provider/model`;
    `provider/*` is every model without an entry. E.g. `local/qwen: {prices: {input: 0, output: 0}}`."""
    health: HealthSettings = HealthSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @property
    def hand_over_s(self) -> float:
        """How long calls in hand may go on when another worker has taken their one's place: as long as any call may."""
        return max(self.service.shutdown_grace_s, self.time.request_s, self.time.stream_s)

    def enabled_providers(self) -> dict[str, ProviderSettings]:
        """Return the providers that can answer: a vendor's public address without a key cannot."""
        return {
            name: provider
            for name, provider in self.providers.items()
            if provider.api_key
            or provider.key_source != "gateway"
            or provider.base_url != BUILT_IN_PROVIDERS.get(name, {}).get("base_url")
            or provider.kind == "custom"
        }


BUILT_IN_PROVIDERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "custom": {"kind": "custom", "models": ["echo", "embed"]},
    "openai": {"kind": "openai", "base_url": "https://api.openai.com/v1"},
    "gemini": {"kind": "gemini", "base_url": "https://generativelanguage.googleapis.com"},
    "cerebras": {"kind": "cerebras", "base_url": "https://api.cerebras.ai"},
    "ollama": {"kind": "ollama", "base_url": ""},
}

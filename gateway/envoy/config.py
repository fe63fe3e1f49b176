"""Envoy's configuration: plain data built from settings, written as YAML."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.bindings import Binding, read_bindings
from gateway.envoy.headers import http_headers, unread_headers
from gateway.envoy.memory import PAGE
from gateway.envoy.names import (
    ADMIN_SERVICE,
    CLUSTER,
    CORS,
    DISCARD,
    ERRORS,
    HEAD,
    REFLECTION,
    TRANSCODER,
    TRANSCODER_TYPE,
    WHOLE_REQUEST,
    type_url,
)
from gateway.envoy.refusals import refusals
from gateway.envoy.routes import virtual_host
from gateway.envoy.settings import EnvoySettings
from gateway.interceptors.answer_metadata import NAMES

_HEADER: Final = "# Rendered by `make generate` from gateway/envoy at default settings. Do not edit.\n"
_ERRORS_LUA: Final = Path(__file__).with_name("errors.lua")
_DISCARD_LUA: Final = """\
function envoy_on_request(handle)
  for chunk in handle:bodyChunks() do
    chunk:setBytes("")
  end
end
"""
_HEAD_LUA: Final = """\
function envoy_on_request(handle)
  handle:headers():replace(":method", "GET")
end

function envoy_on_response(handle)
  for chunk in handle:bodyChunks() do
    chunk:setBytes("")
  end
end
"""
_GRPC_RESOURCE_EXHAUSTED: Final = "8"

_MAX_RESPONSE_BYTES: Final = 256 * 1024 * 1024
"""A whole answer is held until it is complete; 2048 embeddings of 3072 numbers as JSON are about 130 MB."""
_MESSAGE_ROOM: Final = 64 * 1024
"""How much longer than a JSON body a gRPC message may be."""
_HEAP_KEPT: Final = 40 * 1024 * 1024
"""Above this Envoy's allocator gives back what is free as soon as it is asked for more; else it keeps it for ever."""
_MAX_HEADERS_KB: Final = 32
_HEADERS_TIMEOUT_S: Final = 10.0
_BREAKERS: Final = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
_UNBOUNDED: Final = 1_000_000
"""Envoy's circuit breakers default to 1024 calls at once; the gateway has its own limits."""
_MAX_REFLECTIONS: Final = 100
"""Reflection is the one RPC that reaches a worker before its caller has sent everything."""


def render(settings: EnvoySettings) -> str:
    """Returns the YAML that Envoy starts from, the same text for the same settings and descriptor.

    Raises `OSError` when the descriptor cannot be read.
    """
    bootstrap = {
        **({"admin": _admin(settings.admin_socket)} if settings.admin_socket else {}),
        "static_resources": {
            "listeners": _listeners(settings),
            "clusters": [_cluster(settings, CLUSTER, _UNBOUNDED), _cluster(settings, REFLECTION, _MAX_REFLECTIONS)],
        },
        "stats_config": {"stats_matcher": {"reject_all": True}},
        "memory_allocator_manager": {"soft_memory_limit_bytes": _HEAP_KEPT},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": type_url("resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"),
                        "max_active_downstream_connections": settings.max_connections,
                    },
                }
            ]
        },
    }
    return _HEADER + yaml.dump(bootstrap, Dumper=_Dumper, sort_keys=False, width=120)


def _admin(socket: str) -> dict[str, Any]:
    return {"address": {"pipe": {"path": socket, "mode": 0o600}}, "allow_paths": [{"exact": PAGE}]}


def _listeners(settings: EnvoySettings) -> list[dict[str, Any]]:
    bindings = read_bindings(settings.descriptor)
    public = [binding for binding in bindings if binding.service != ADMIN_SERVICE]
    listeners = [_listener(settings, "http", (settings.host, settings.port), public)]
    if settings.admin_port:
        listeners.append(_listener(settings, "admin", (settings.admin_host, settings.admin_port), bindings))
    return listeners


def _listener(
    settings: EnvoySettings, name: str, address: tuple[str, int], bindings: Sequence[Binding]
) -> dict[str, Any]:
    """Return a listener whose callers reach the services of `bindings`, and those that have no HTTP routes."""
    return {
        "name": name,
        "address": {"socket_address": {"address": address[0], "port_value": address[1]}},
        "enable_reuse_port": False,  # else a second Envoy could take the same port and half of the calls
        "tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 15, "keepalive_probes": 4},
        "filter_chains": [
            {
                **({"transport_socket": _tls(settings)} if settings.tls_cert_file else {}),
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _connection_manager(settings, bindings),
                    }
                ],
            }
        ],
    }


def _tls(settings: EnvoySettings) -> dict[str, Any]:
    files = {"certificate_chain": settings.tls_cert_file, "private_key": settings.tls_key_file}
    common: dict[str, Any] = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificates": [{name: {"filename": path} for name, path in files.items()}],
    }
    if settings.tls_client_ca_file:
        common["validation_context"] = {"trusted_ca": {"filename": settings.tls_client_ca_file}}
    return {
        "name": "tls",
        "typed_config": {
            "@type": type_url("transport_sockets.tls.v3.DownstreamTlsContext"),
            "require_client_certificate": bool(settings.tls_client_ca_file),
            "common_tls_context": common,
        },
    }


def _connection_manager(settings: EnvoySettings, bindings: Sequence[Binding]) -> dict[str, Any]:
    return {
        "@type": type_url("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "http",
        "codec_type": "AUTO",
        "use_remote_address": True,
        "server_header_transformation": "PASS_THROUGH",
        **({"access_log": log} if (log := refusals(settings)) else {}),
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "max_request_headers_kb": _MAX_HEADERS_KB,
        "request_headers_timeout": _seconds(min(_HEADERS_TIMEOUT_S, settings.request_read_timeout_s)),
        "request_timeout": _seconds(settings.request_read_timeout_s),
        "stream_idle_timeout": _seconds(settings.stream_idle_timeout_s),
        "common_http_protocol_options": {"idle_timeout": "600s"},
        "http2_protocol_options": {"max_concurrent_streams": settings.max_concurrent_streams},
        "local_reply_config": {"mappers": [_text_of_400(), _too_large_for_grpc()]},
        "early_header_mutation_extensions": [_request_id()],
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": {
                "@type": type_url("request_id.uuid.v3.UuidRequestIdConfig"),
                "pack_trace_reason": False,  # it would change a character of the caller's own id
            }
        },
        "route_config": {"virtual_hosts": [virtual_host(settings, bindings)]},
        "http_filters": _http_filters(settings, bindings),
    }


def _request_id() -> dict[str, Any]:
    """Make ids that sort by time, where the caller sends none: a table's index of random ones slows its writer."""
    made = {"key": "x-request-id", "value": "%START_TIME(%s%3f)%-%UNIQUE_ID%"}
    return {
        "name": "request_id",
        "typed_config": {
            "@type": type_url("http.early_header_mutation.header_mutation.v3.HeaderMutation"),
            "mutations": [{"append": {"header": made, "append_action": "ADD_IF_ABSENT"}}],
        },
    }


def _too_large_for_grpc() -> dict[str, Any]:
    """Give native callers the status that gRPC has for 413; Envoy's own is UNKNOWN."""
    status = {"comparison": {"op": "EQ", "value": {"default_value": 413, "runtime_key": "too_large"}}}
    header = {"key": "grpc-status", "value": _GRPC_RESOURCE_EXHAUSTED}
    return {
        "filter": {"status_code_filter": status},
        "headers_to_add": [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
    }


def _text_of_400() -> dict[str, Any]:
    """Give Envoy's own 400 a body also where it refuses the path, for errors.lua to replace; HEAD still gets none."""
    comparison = {"op": "EQ", "value": {"default_value": 400, "runtime_key": "local_reply_400"}}
    return {
        "filter": {"status_code_filter": {"comparison": comparison}},
        "body_format_override": {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%\n"}},
    }


def _http_filters(settings: EnvoySettings, bindings: Sequence[Binding]) -> list[dict[str, Any]]:
    """Requests pass from first to last, responses back: errors.lua sees what the transcoder made of them.

    Nothing behind `whole-request` sees a request before all of it is there, so slow callers cost a worker nothing.
    Every RPC takes one message; reflection takes several, so its route goes without, to a cluster that takes few calls
    at a time.
    """
    cors = [{"name": CORS, "typed_config": {"@type": type_url("filters.http.cors.v3.Cors")}}]
    return [
        *(cors if settings.cors_allow_origins else ()),
        {**_lua(HEAD, _HEAD_LUA), "disabled": True},  # but for one route
        unread_headers(),
        http_headers(settings),
        _lua(ERRORS, _errors_lua(settings)),
        {**_lua(DISCARD, _DISCARD_LUA), "disabled": True},  # but for one route
        {
            "name": WHOLE_REQUEST,
            "typed_config": {
                "@type": type_url("filters.http.buffer.v3.Buffer"),
                "max_request_bytes": settings.max_body_bytes + _MESSAGE_ROOM,
            },
        },
        {
            "name": TRANSCODER,
            "typed_config": {
                "@type": TRANSCODER_TYPE,
                "proto_descriptor": str(settings.descriptor),
                "services": list(dict.fromkeys(binding.service for binding in bindings)),
                "ignore_unknown_query_parameters": True,
                "request_validation_options": {"reject_unknown_method": True},
                "url_unescape_spec": "ALL_CHARACTERS",
                "max_request_body_size": settings.max_body_bytes,
                "max_response_body_size": _MAX_RESPONSE_BYTES,
                "print_options": {"preserve_proto_field_names": True},
            },
        },
        {
            "name": "router",
            "typed_config": {"@type": type_url("filters.http.router.v3.Router"), "suppress_envoy_headers": True},
        },
    ]


def _lua(name: str, code: str) -> dict[str, Any]:
    source = {"inline_string": _Text(code)}
    return {
        "name": name,
        "typed_config": {"@type": type_url("filters.http.lua.v3.Lua"), "default_source_code": source},
    }


def _errors_lua(settings: EnvoySettings) -> str:
    names = ", ".join(f'"{name}"' for name in NAMES)
    constants = f"local MAX_BODY_BYTES = {settings.max_body_bytes}\nlocal HEADERS = {{{names}}}\n"
    return constants + _ERRORS_LUA.read_text(encoding="utf-8")


def _cluster(settings: EnvoySettings, name: str, max_calls: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [dict.fromkeys(_BREAKERS, max_calls)]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": type_url("upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": {
                    "http2_protocol_options": {"max_concurrent_streams": settings.max_concurrent_streams}
                },
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": path}}}} for path in settings.upstreams]}
            ],
        },
    }


def _seconds(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


class _Text(str):
    """Text of several lines that stays readable in the YAML."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes `_Text` as a block and never writes aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


_Dumper.add_representer(
    _Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")
)

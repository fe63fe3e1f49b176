"""Which request goes where: one virtual host for both listeners."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from gateway.bindings import Binding
from gateway.envoy.headers import without_grpc
from gateway.envoy.names import (
    ADMIN_SERVICE,
    CLUSTER,
    CORS,
    DISCARD,
    ERRORS,
    HEAD,
    HTTP_HEADERS,
    REFLECTION,
    TRANSCODER,
    TRANSCODER_TYPE,
    WHOLE_REQUEST,
    type_url,
)
from gateway.envoy.settings import EnvoySettings
from gateway.interceptors.answer_metadata import NAMES

_FILTER_CONFIG: Final = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
_READ_BY_GRPC: Final = {"grpc-timeout": "[0-9]{1,8}[HMSmun]", "grpc-encoding": "identity|deflate|gzip"}
_UNREAD: Final = (
    "accept",
    "accept-encoding",
    "user-agent",
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-envoy-original-method",
    "x-forwarded-for",
    "x-forwarded-proto",
)
"""Nearly every request has these and no worker reads them; each costs the two of them some 3 µs a call."""
_LINGER: Final = 16
"""A body of this many times the limit is not read to its end."""
_EXPOSED: Final = ",".join(("*", "retry-after", "x-request-id", *NAMES))
"""`*` is no wildcard for a page that sends credentials, so what it needs is named too."""


_NOT_FOR_GRPC: Final = {name: {"@type": _FILTER_CONFIG, "disabled": True} for name in (HTTP_HEADERS, ERRORS)}
"""Decided when a request comes, so that a transcoded one, which is routed again by RPC, keeps these filters."""


def virtual_host(settings: EnvoySettings, bindings: Sequence[Binding]) -> dict[str, Any]:
    """Requests are routed twice: as they come, and again by RPC when the transcoder has changed them.

    So a request that stays on the route of an HTTP path has a method that the contract does not know there.
    """
    to_gateway = {"cluster": CLUSTER, "timeout": "0s"}
    host: dict[str, Any] = {
        "name": "gateway",
        "domains": ["*"],
        "typed_per_filter_config": {HTTP_HEADERS: without_grpc()},
        "retry_policy": _retry_policy(settings),
        "routes": [
            *_rpcs("/grpc.reflection.", REFLECTION, {WHOLE_REQUEST: {"@type": _FILTER_CONFIG, "disabled": True}}),
            *_hidden_services(bindings),
            *_rpcs("/", CLUSTER, {}),
            _too_large(settings.max_body_bytes),
            {
                "match": {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "HEAD"}}]},
                "route": to_gateway,
                "typed_per_filter_config": {HEAD: {"@type": _FILTER_CONFIG, "config": {}}},  # on; makes it a GET
            },
            *(
                {
                    "match": {"path": path} if pattern is None else {"safe_regex": {"regex": pattern}},
                    "route": to_gateway,
                    "metadata": {"filter_metadata": {ERRORS: {"allow": methods}}},
                }
                for path, pattern, methods in _paths(bindings)
            ),
            {"match": {"prefix": "/"}, "route": to_gateway},
        ],
    }
    if settings.cors_allow_origins:
        host["typed_per_filter_config"][CORS] = _cors_policy(settings.cors_allow_origins)
    return host


def _rpcs(prefix: str, cluster: str, filters: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Yields the routes of RPCs to a cluster: one for each header that can be wrong, and the one for all is well.

    gRPC cannot read a wrong value of these, and then also fails later calls of others on the same connection.
    """
    route = {"route": {"cluster": cluster, "timeout": "0s"}, "typed_per_filter_config": {**_NOT_FOR_GRPC, **filters}}
    match = {"prefix": prefix, "grpc": {}}
    for name, right in _READ_BY_GRPC.items():
        wrong = {"name": name, "string_match": {"safe_regex": {"regex": right}}, "invert_match": True}
        yield {"match": {**match, "headers": [wrong]}, **route, "request_headers_to_remove": [*_READ_BY_GRPC, *_UNREAD]}
    yield {"match": match, **route, "request_headers_to_remove": list(_UNREAD)}


def _too_large(limit: int) -> dict[str, Any]:
    """Return the route of a request whose body is over the limit.

    Most clients write all of a body before they read: one that Envoy hung up on would see a reset and not the 413. So
    the body is read to its end and thrown away, unless even that is too much.
    """
    length = {"name": "content-length", "range_match": {"start": limit + 1, "end": _LINGER * limit + 1}}
    return {
        "match": {"prefix": "/", "headers": [length]},
        "direct_response": {"status": 413},
        "typed_per_filter_config": {
            DISCARD: {"@type": _FILTER_CONFIG, "config": {}},  # on
            TRANSCODER: {"@type": TRANSCODER_TYPE, "proto_descriptor_bin": "", "services": []},  # off
        },
    }


def _hidden_services(bindings: Sequence[Binding]) -> list[dict[str, Any]]:
    """Return the route that ends native calls of AdminService where it is not among the services: UNIMPLEMENTED."""
    if any(binding.service == ADMIN_SERVICE for binding in bindings):
        return []
    return [
        {
            "match": {"prefix": f"/{ADMIN_SERVICE}/", "grpc": {}},
            "direct_response": {"status": 404},
            "typed_per_filter_config": _NOT_FOR_GRPC,
        }
    ]


def _retry_policy(settings: EnvoySettings) -> dict[str, Any]:
    """A call is sent again only when no worker has begun it: one that shuts down answers new calls with CANCELLED."""
    return {
        "retry_on": "connect-failure,refused-stream,cancelled",
        "num_retries": len(settings.upstreams),
        "host_selection_retry_max_attempts": 16,  # the balancer picks at random, also what it has tried
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.01s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": type_url("retry.host.previous_hosts.v3.PreviousHostsPredicate")},
            }
        ],
    }


def _paths(bindings: Sequence[Binding]) -> Iterable[tuple[str, str | None, str]]:
    """Yields each path template of the contract, its pattern, and its methods as the header `allow` has them.

    Plain paths come first: Envoy tries routes one by one, and those without a pattern are most of the calls.
    """
    ordered = sorted(bindings, key=lambda binding: (binding.pattern() is not None, binding.template))
    for path, group in groupby(ordered, key=lambda binding: binding.template):
        same_path = list(group)
        methods = {binding.method for binding in same_path}
        if "GET" in methods:
            methods.add("HEAD")
        yield path, same_path[0].pattern(), ", ".join(sorted(methods))


def _cors_policy(origins: Iterable[str]) -> dict[str, Any]:
    return {
        "@type": type_url("filters.http.cors.v3.CorsPolicy"),
        "allow_origin_string_match": [{"exact": origin} for origin in origins],
        "allow_methods": "*",
        "allow_headers": "*",
        "expose_headers": _EXPOSED,
        "max_age": "600",
        "forward_not_matching_preflights": False,
    }

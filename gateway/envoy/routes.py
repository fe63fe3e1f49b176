"""Which request goes where: one virtual host for both listeners."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from gateway.bindings import Binding
from gateway.envoy.names import (
    ADMIN_SERVICE,
    CLUSTER,
    CORS,
    ERRORS,
    REFLECTION,
    TOO_LARGE,
    TRANSCODER,
    TRANSCODER_TYPE,
    WHOLE_REQUEST,
    type_url,
)
from gateway.envoy.settings import EnvoySettings

_EXPOSED: Final = ",".join(
    (
        "*",  # is no wildcard for a page that sends credentials, so what it needs is named too
        "retry-after",
        "x-request-id",
        *(
            f"x-ratelimit-{what}-{metric}"
            for metric in ("requests", "tokens")
            for what in ("limit", "remaining", "reset")
        ),
    )
)


def virtual_host(settings: EnvoySettings, bindings: Sequence[Binding]) -> dict[str, Any]:
    """Requests are routed twice: as they come, and again by RPC when the transcoder has changed them.

    So a request that stays on the route of an HTTP path has a method that the contract does not know there.
    """
    to_gateway = {"cluster": CLUSTER, "timeout": "0s"}
    host: dict[str, Any] = {
        "name": "gateway",
        "domains": ["*"],
        "retry_policy": _retry_policy(settings),
        "routes": [
            {
                "match": {"prefix": "/grpc.reflection.", "grpc": {}},
                "route": {"cluster": REFLECTION, "timeout": "0s"},
                "typed_per_filter_config": {
                    WHOLE_REQUEST: {"@type": type_url("filters.http.buffer.v3.BufferPerRoute"), "disabled": True}
                },
            },
            *_hidden_services(bindings),
            {"match": {"prefix": "/", "grpc": {}}, "route": to_gateway},
            {
                "match": {"path": TOO_LARGE, "headers": [{"name": "x-too-large", "present_match": True}]},
                "direct_response": {"status": 413},
                "typed_per_filter_config": {
                    TRANSCODER: {"@type": TRANSCODER_TYPE, "proto_descriptor_bin": "", "services": []}  # off
                },
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
        host["typed_per_filter_config"] = {CORS: _cors_policy(settings.cors_allow_origins)}
    return host


def _hidden_services(bindings: Sequence[Binding]) -> list[dict[str, Any]]:
    """Return the route that ends native calls of AdminService where it is not among the services: UNIMPLEMENTED."""
    if any(binding.service == ADMIN_SERVICE for binding in bindings):
        return []
    return [{"match": {"prefix": f"/{ADMIN_SERVICE}/"}, "direct_response": {"status": 404}}]


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
        yield path, same_path[0].pattern(), ", ".join(sorted({binding.method for binding in same_path}))


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

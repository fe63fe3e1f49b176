"""Headers that every request loses and every answer gets or loses, whatever it says: no Lua is needed for them."""

from typing import Any, Final

from gateway.envoy.names import HTTP_HEADERS, type_url
from gateway.envoy.settings import EnvoySettings

_SECURITY: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_GRPC_STATUS: Final = ("grpc-status", "grpc-message", "grpc-status-details-bin")


def unread_headers() -> dict[str, Any]:
    """Return the filter that takes away what the gateway does not read and what gRPC cannot read when it is wrong.

    A header that gRPC cannot read fails its call, and, because gRPC keeps the failure with the header's name in the
    connection's HPACK table, also later calls of others that have this header.
    """
    names = ("grpc-internal-encoding-request", "grpc-previous-rpc-attempts", "grpc-retry-pushback-ms", "grpc-status")
    kinds = ({"suffix": "-bin"}, {"prefix": "x-stainless-"})  # the latter is what OpenAI's SDKs tell of themselves
    matches = [{"remove_on_match": {"key_matcher": kind}} for kind in kinds]
    return _filter("unread-headers", {"request_mutations": [*_remove(names), *matches]})


def http_headers(settings: EnvoySettings) -> dict[str, Any]:
    """Return the filter that gives an HTTP caller's answer its security headers.

    A service may have security headers of its own, as the pages for people do.
    """
    added = [
        {"append": {"header": {"key": key, "value": value}, "append_action": "ADD_IF_ABSENT"}}
        for key, value in _SECURITY.items()
        if settings.security_headers
    ]
    return _filter(HTTP_HEADERS, {"request_mutations": _renamed_timeout(), "response_mutations": added})


def without_grpc() -> dict[str, Any]:
    """Return what that filter takes away where a request has a route: Envoy's reply to one without may be for gRPC."""
    return {
        "@type": type_url("filters.http.header_mutation.v3.HeaderMutationPerRoute"),
        "mutations": {
            "response_mutations": _remove((*_GRPC_STATUS, "grpc-accept-encoding")),
            "response_trailers_mutations": _remove(_GRPC_STATUS),
        },
    }


def _renamed_timeout() -> list[dict[str, Any]]:
    """Give `grpc-timeout` a name that the gateway reads and gRPC does not: gRPC would end the call without a word.

    Without that header nothing is added.
    """
    header = {"key": "x-grpc-timeout", "value": "%REQ(grpc-timeout)%"}
    renamed = {"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
    return [renamed, *_remove(("grpc-timeout",))]


def _remove(names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"remove": name} for name in names]


def _filter(name: str, mutations: dict[str, Any]) -> dict[str, Any]:
    config = {"@type": type_url("filters.http.header_mutation.v3.HeaderMutation"), "mutations": mutations}
    return {"name": name, "typed_config": config}

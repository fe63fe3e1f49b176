"""The log line of a request that Envoy answers itself: no worker hears of it."""

from typing import Any, Final

from gateway.envoy.names import type_url
from gateway.envoy.settings import EnvoySettings

_ANSWERED_HERE: Final = 'response.code_details != "via_upstream" && !response.code_details.startsWith("downstream_")'
"""A caller who leaves (`downstream_`) is the worker's to tell of."""
_PATH: Final = "%PATH(NQ:ORIG_OR_PATH):200%"
"""Cut, and without its query, where people put keys."""
_FIELDS: Final = {
    "request_id": "%REQ(x-request-id):200%",
    "route": _PATH,
    "edge": "envoy",
    "status": "%RESPONSE_CODE_DETAILS%",
    "http_status": "%RESPONSE_CODE%",
    "total_ms": "%DURATION%",
    "event": "request",
    "level": "info",
    "time": "%EMIT_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
}
"""Named as in the workers' lines."""
_FORMATS: Final[dict[str, dict[str, Any]]] = {
    "json": {"json_format": _FIELDS},
    "console": {
        "text_format_source": {
            "inline_string": "{time} [{level}] {event} edge={edge} http_status={http_status} request_id={request_id}"
            " route={route} status={status} total_ms={total_ms}\n".format_map(_FIELDS)
        }
    },
}


def refusals(settings: EnvoySettings) -> list[dict[str, Any]]:
    """Return the access log of a listener. Empty if nothing is to be logged.

    It goes to standard output, by itself: Envoy writes it in pieces that may end within a line, and what it has to say
    of itself to standard error.
    """
    if settings.log_format == "none":
        return []
    return [
        {
            "name": "refusals",
            "filter": {
                "extension_filter": {
                    "name": "answered-here",
                    "typed_config": {
                        "@type": type_url("access_loggers.filters.cel.v3.ExpressionFilter"),
                        "expression": _ANSWERED_HERE,
                    },
                }
            },
            "typed_config": {
                "@type": type_url("access_loggers.stream.v3.StdoutAccessLog"),
                "log_format": _FORMATS[settings.log_format],
            },
        }
    ]

"""Names that several parts of Envoy's configuration share."""

from typing import Final

ADMIN_SERVICE: Final = "llmgateway.v1.AdminService"
CLUSTER: Final = "gateway"
REFLECTION: Final = "reflection"
CORS: Final = "cors"
ERRORS: Final = "errors"
WHOLE_REQUEST: Final = "whole-request"
TRANSCODER_TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"
TRANSCODER: Final = "transcoder"
TOO_LARGE: Final = "/too-large"
"""Where errors.lua sends a request whose body it has thrown away; no caller's path gets there by itself."""


def type_url(name: str) -> str:
    """Return the type of an extension's configuration, by its name below `envoy.extensions`."""
    return f"type.googleapis.com/envoy.extensions.{name}"

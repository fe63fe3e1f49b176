"""Names that several parts of Envoy's configuration share."""

from typing import Final

ADMIN_SERVICE: Final = "llmgateway.v1.AdminService"
CLUSTER: Final = "gateway"
REFLECTION: Final = "reflection"
CORS: Final = "cors"
ERRORS: Final = "errors"
HTTP_HEADERS: Final = "http-headers"
DISCARD: Final = "discard"
HEAD: Final = "head"
WHOLE_REQUEST: Final = "whole-request"
TRANSCODER_TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"
TRANSCODER: Final = "transcoder"


def type_url(name: str) -> str:
    """Return the type of an extension's configuration, by its name below `envoy.extensions`."""
    return f"type.googleapis.com/envoy.extensions.{name}"

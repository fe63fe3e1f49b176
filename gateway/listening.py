"""Where a worker's gRPC server listens, and what it allows its peers."""

from typing import Any, Final

import grpc
import grpc.aio

from gateway.config import ServiceSettings
from gateway.open_files import affordable

_METADATA_LIMIT: Final = 64 * 1024
"""Request headers that Envoy lets through must fit; gRPC's own default of 8 KiB is below that."""
_PING_INTERVAL_MS: Final = 10_000
_PING_STRIKES: Final = 2
"""A client that pings more often than that, this many times, is sent GOAWAY and cut off."""
_KEEPALIVE_MS: Final = 60_000
_KEEPALIVE_ANSWER_MS: Final = 20_000
"""A peer that does not answer our ping in this time is gone; its calls are cancelled."""
_HANDSHAKE_S: Final = 10.0
"""A connection that has not said by then that it speaks HTTP/2 (and TLS) is closed, as Envoy's are without headers."""
_IDLE_MS: Final = 600_000
"""A connection without calls is closed after this time, as Envoy's are. There is no limit on its age: it would end
long streams, or, with time for them to finish, not end slow ones."""


class ListenError(Exception):
    """An address cannot be listened on. The text is one line, fit to print."""


def listen(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    """Have the server listen on `127.0.0.1:0` or `unix:/path`, and return the bound port. Raises ListenError."""
    try:
        if credentials is not None and not address.startswith("unix:"):  # behind the socket is Envoy, which has TLS
            return server.add_secure_port(address, credentials)
        return server.add_insecure_port(address)
    except RuntimeError:
        raise ListenError(f"{address} cannot be listened on; is it taken?") from None


def server_options(service: ServiceSettings, *, shared_port: bool) -> list[tuple[str, Any]]:
    """Return what the server allows its peers. `shared_port`: other processes listen on the same one."""
    return [
        ("grpc.max_receive_message_length", service.max_body_bytes + 64 * 1024),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", _METADATA_LIMIT),
        ("grpc.absolute_max_metadata_size", 2 * _METADATA_LIMIT),
        ("grpc.max_concurrent_streams", service.max_concurrent_streams),
        ("grpc.max_allowed_incoming_connections", affordable(service.max_connections)),
        ("grpc.http2.min_ping_interval_without_data_ms", _PING_INTERVAL_MS),
        ("grpc.http2.max_ping_strikes", _PING_STRIKES),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_ANSWER_MS),
        ("grpc.server_handshake_timeout_ms", int(1000 * min(_HANDSHAKE_S, service.request_read_timeout_s))),
        ("grpc.max_connection_idle_ms", _IDLE_MS),
        ("grpc.so_reuseport", int(shared_port)),  # otherwise a taken port is an error
    ]

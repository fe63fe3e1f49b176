"""What Envoy is told of the gateway's settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class EnvoySettings:
    """What of the gateway's settings Envoy has to know.

    `host` and `port` are for everyone and do not know AdminService. `admin_host` and `admin_port` do, beside all that
    the others have; an `admin_port` of 0 means that there is no such listener.
    `upstreams` are the unix sockets of the workers; a call goes to the one with fewer calls. `descriptor` is a
    serialised `FileDescriptorSet`: read while rendering and again by Envoy, so a relative path is relative to the
    working directory of both. `request_read_timeout_s` bounds the arrival of a whole request, against slow callers.
    There is no limit on the whole answer, because the gateway owns deadlines; `stream_idle_timeout_s` limits silence
    and must be longer than any time-out of the gateway. `cors_allow_origins` are exact origins, or `*`; none means
    no CORS. `tls_cert_file` and `tls_key_file` are PEM files, read by Envoy when it starts; without them it speaks no
    TLS. With `tls_client_ca_file` callers need a certificate of one of its authorities. `log_format` is that of the
    lines for requests that Envoy answers itself; `none` is without. `admin_socket` is a unix
    socket that only the user can open, for `release_memory`; without it Envoy has no admin pages at all.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    admin_host: str = "127.0.0.1"
    admin_port: int = 9465
    upstreams: tuple[str, ...] = ("run/worker-0.sock",)
    descriptor: Path = Path("generated/descriptor.binpb")
    max_body_bytes: int = 20 * 1024 * 1024
    request_read_timeout_s: float = 60
    stream_idle_timeout_s: float = 600
    cors_allow_origins: tuple[str, ...] = ()
    security_headers: bool = True
    max_connections: int = 50_000
    max_concurrent_streams: int = 1000
    tls_cert_file: str = ""
    tls_key_file: str = ""
    tls_client_ca_file: str = ""
    log_format: Literal["json", "console", "none"] = "json"
    admin_socket: str = ""

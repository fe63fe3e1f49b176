"""TLS from files, for gRPC without Envoy; Envoy reads the same files itself."""

import ssl
from pathlib import Path

import grpc

from gateway.config import ConfigError, ServiceSettings


def check_tls(service: ServiceSettings) -> None:
    """Raise ConfigError unless the files of TLS are all there, can be read and fit together."""
    named = {"TLS_CERT_FILE": service.tls_cert_file, "TLS_KEY_FILE": service.tls_key_file}
    missing = [variable for variable, path in named.items() if not path]
    if len(missing) == 2:
        if service.tls_client_ca_file:
            raise ConfigError("TLS_CLIENT_CA_FILE needs TLS_CERT_FILE and TLS_KEY_FILE")
        return
    if missing:
        raise ConfigError(f"{missing[0]} is not set: TLS needs both a certificate and its key")
    for variable, path in (*named.items(), ("TLS_CLIENT_CA_FILE", service.tls_client_ca_file)):
        if path:
            _read(variable, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password is never asked for at a terminal: an encrypted key is an error.
        context.load_cert_chain(service.tls_cert_file, service.tls_key_file, password=lambda: b"")
    except (ssl.SSLError, ValueError):
        raise ConfigError("TLS_CERT_FILE and TLS_KEY_FILE are not a PEM certificate and its unencrypted key") from None
    if service.tls_client_ca_file:
        try:
            context.load_verify_locations(service.tls_client_ca_file)
        except (ssl.SSLError, ValueError):
            raise ConfigError("TLS_CLIENT_CA_FILE holds no PEM certificate") from None


def grpc_credentials(service: ServiceSettings) -> grpc.ServerCredentials | None:
    """Return what a gRPC port needs to speak TLS, None without TLS. Raises ConfigError."""
    check_tls(service)
    if not service.tls_cert_file:
        return None
    chain = _read("TLS_CERT_FILE", service.tls_cert_file)
    key = _read("TLS_KEY_FILE", service.tls_key_file)
    clients = _read("TLS_CLIENT_CA_FILE", service.tls_client_ca_file) if service.tls_client_ca_file else None
    return grpc.ssl_server_credentials([(key, chain)], clients, require_client_auth=clients is not None)


def _read(variable: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise ConfigError(f"{variable}: {path} cannot be read: {exc.strerror}") from None

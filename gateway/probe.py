"""`health`: is the gateway that runs here ready? A container's health check, also with TLS and without Envoy."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.config import ServiceSettings

_LIMIT_S: Final = 2.0


class NotReadyError(Exception):
    """The gateway is not ready. The text is one line, fit to print."""


def check_ready(service: ServiceSettings) -> None:
    """Ask Envoy for `/readyz`; where no Envoy listens, ask the worker at its own gRPC port. Raises NotReadyError.

    Certificates are not verified: they name the address that the world knows. Where callers need a certificate and the
    server's own is not taken for one, it is enough that TLS is spoken.
    """
    try:
        try:
            _ask_envoy(service)
        except ConnectionRefusedError:
            _ask_worker(service)
    except OSError as exc:
        raise NotReadyError(f"no answer: {exc.strerror or exc}") from None


def _ask_envoy(service: ServiceSettings) -> None:
    host = _here(service.host)
    if not service.tls_cert_file:
        connection = http.client.HTTPConnection(host, service.port, timeout=_LIMIT_S)
    else:
        connection = http.client.HTTPSConnection(host, service.port, timeout=_LIMIT_S, context=_tls(service))
    with contextlib.closing(connection), _certificates_may_be_wanted(service):
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
        if status != http.client.OK:
            raise NotReadyError(f"/readyz answers {status}")


def _ask_worker(service: ServiceSettings) -> None:
    host = _here(service.host)
    if service.tls_cert_file:
        with (
            _certificates_may_be_wanted(service),
            socket.create_connection((host, service.grpc_port), _LIMIT_S) as plain,
            _tls(service).wrap_socket(plain),
        ):
            return
    address = f"[{host}]:{service.grpc_port}" if ":" in host else f"{host}:{service.grpc_port}"
    with grpc.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_LIMIT_S)
        except grpc.RpcError as exc:
            raise NotReadyError(f"no answer from {address}") from exc
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotReadyError(f"{address} answers {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}")


@contextlib.contextmanager
def _certificates_may_be_wanted(service: ServiceSettings) -> Iterator[None]:
    try:
        yield
    except (ssl.SSLError, ConnectionResetError):
        if not service.tls_client_ca_file:
            raise


def _tls(service: ServiceSettings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if service.tls_client_ca_file:
        context.load_cert_chain(service.tls_cert_file, service.tls_key_file)
    return context


def _here(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)

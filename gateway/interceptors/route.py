"""By which of the contract's paths a call came: few values, whatever callers send."""

import functools
import re
from typing import Final

from google.protobuf import descriptor_pb2, descriptor_pool

from gateway.bindings import method_bindings
from gateway.interceptors.base import Rpc

_POOL: Final = descriptor_pool.Default()


def route(rpc: Rpc) -> str:
    """Return the path template of a call that Envoy transcoded, as `/{provider}/v1/models`; for gRPC the RPC's path."""
    path = rpc.metadata.get("x-envoy-original-path")
    if path is None:
        return rpc.method
    path = path.partition("?")[0]
    fixed, patterns = _templates(rpc.method)
    if path in fixed:
        return path
    return next((template for pattern, template in patterns if pattern.fullmatch(path)), rpc.method)


@functools.cache
def _templates(rpc: str) -> tuple[frozenset[str], tuple[tuple[re.Pattern[str], str], ...]]:
    """Return the paths of an RPC that are fixed, and the patterns of the others."""
    method = descriptor_pb2.MethodDescriptorProto()
    _POOL.FindMethodByName(rpc[1:].replace("/", ".")).CopyToProto(method)
    templates = {binding.template: binding.pattern() for binding in method_bindings("", method)}
    return (
        frozenset(template for template, pattern in templates.items() if pattern is None),
        tuple((re.compile(pattern), template) for template, pattern in templates.items() if pattern is not None),
    )

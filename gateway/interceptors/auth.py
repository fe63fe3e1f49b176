"""Who calls: the key in `authorization: Bearer KEY` or `x-api-key: KEY`."""

from typing import Any, Final

from gateway.admission.keys import Keys
from gateway.errors import PermissionDenied
from gateway.interceptors.base import Proceed, Rpc

OPEN_METHODS: Final = ("/grpc.health.v1.Health/", "/grpc.reflection.", "/llmgateway.v1.SystemService/")
"""Method prefixes that need no key: health, version and reflection."""


ADMIN_METHODS: Final = "/llmgateway.v1.AdminService/"
"""Method prefix that needs a key with the admin right."""


class AuthInterceptor:
    """Sets `rpc.caller`, or raises Unauthenticated or PermissionDenied before the handler runs."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def intercept(self, rpc: Rpc, proceed: Proceed) -> Any:
        if not rpc.method.startswith(OPEN_METHODS):
            rpc.caller = await self._keys.identify(_sent_key(rpc))
        if rpc.method.startswith(ADMIN_METHODS) and not rpc.caller.admin:
            raise PermissionDenied("This API key has no admin right.")
        return await proceed()


def _sent_key(rpc: Rpc) -> str | None:
    """Return the key. Credentials of another scheme are for somebody else, for example a proxy on the way."""
    scheme, _, key = rpc.metadata.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else rpc.metadata.get("x-api-key")

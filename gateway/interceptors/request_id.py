"""One id a request: the caller's `x-request-id` if it is sane, else a new one; on every log line and reply."""

import re
import time
import uuid
from typing import Any, Final

from gateway.interceptors.base import Proceed, Rpc
from gateway.telemetry.logs import REQUEST_ID

_SANE: Final = re.compile(r"^[A-Za-z0-9._:/+=@-]{1,128}$")


class RequestIdInterceptor:
    """Sets `rpc.request_id`, and sends it back in the trailing metadata; HTTP callers get theirs from Envoy."""

    async def intercept(self, rpc: Rpc, proceed: Proceed) -> Any:
        sent = rpc.metadata.get("x-request-id", "")
        rpc.request_id = sent if _SANE.match(sent) else _made()
        REQUEST_ID.set(rpc.request_id)
        if not rpc.from_http:
            rpc.context.set_trailing_metadata((("x-request-id", rpc.request_id),))
        return await proceed()


def _made() -> str:
    """Return an id that sorts by time, as Envoy makes them."""
    return f"{time.time_ns() // 1_000_000}-{uuid.uuid4()}"

"""Limits, cost and tokens in the trailing metadata of a call that ended well."""

from typing import Any

from gateway.interceptors.answer_metadata import answer_pairs
from gateway.interceptors.base import Proceed, Rpc


class TrailersInterceptor:
    """Adds them to the request id, for callers that speak gRPC: what Envoy makes of an answer has no trailers."""

    async def intercept(self, rpc: Rpc, proceed: Proceed) -> Any:
        result = await proceed()
        if not rpc.from_http and (pairs := answer_pairs(rpc.record)):
            rpc.context.set_trailing_metadata((("x-request-id", rpc.request_id), *pairs))
        return result

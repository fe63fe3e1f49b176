"""The RPC handlers in force. A reload builds new ones beside them and replaces all of them in one step."""

from __future__ import annotations  # gRPC types are generic in their stubs only

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import grpc
import grpc.aio

from gateway.interceptors.base import InterceptorChain

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Lookup: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"


class HandlerTable:
    """Takes what the generated `add_XServicer_to_server` functions register."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, Handler]) -> None:
        for method, handler in method_handlers.items():
            self._handlers[f"/{service_name}/{method}"] = handler

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[Any]) -> None:
        """Do nothing: these are the same handlers once more, in an older form."""

    def get(self, method: str) -> Handler | None:
        return self._handlers.get(method)


class Switch(grpc.aio.ServerInterceptor):
    """Answers each RPC by the table and the chain in force when it starts; the server's own handlers come second."""

    def __init__(self, chain: InterceptorChain, table: HandlerTable) -> None:
        self._chain, self._table = chain, table

    def turn(self, chain: InterceptorChain, table: HandlerTable) -> None:
        """Answer new RPCs by these. Calls in hand keep theirs."""
        self._chain, self._table = chain, table

    async def intercept_service(
        self, continuation: Lookup, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        table = self._table

        async def find(details: grpc.HandlerCallDetails) -> Handler | None:
            return table.get(details.method) or await continuation(details)

        return await self._chain.intercept_service(find, handler_call_details)

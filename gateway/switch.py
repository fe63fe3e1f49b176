"""The RPC handlers in force. A reload builds new ones beside them and replaces all of them in one step."""

from __future__ import annotations  # gRPC types are generic in their stubs only

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import grpc

from gateway.interceptors.base import ARRIVED

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class HandlerTable:
    """Takes what the generated `add_XServicer_to_server` functions register: `handlers`, by the path of their RPC."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, Handler]) -> None:
        for method, handler in method_handlers.items():
            self.handlers[f"/{service_name}/{method}"] = handler

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[Any]) -> None:
        """Do nothing: these are the same handlers once more, in an older form."""


class Switch(grpc.GenericRpcHandler):
    """Answers each RPC by the handlers in force when it starts.

    It is no `grpc.aio.ServerInterceptor`: with one, gRPC looks for the handler in coroutines, at 0.015 ms a call.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers

    def turn(self, handlers: Mapping[str, Handler]) -> None:
        """Answer new RPCs by these. Calls in hand keep theirs."""
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Return the handler; without one gRPC answers UNIMPLEMENTED."""
        ARRIVED.set(handler_call_details)  # the handler runs in this task
        return self._handlers.get(handler_call_details.method)

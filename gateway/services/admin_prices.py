"""What operators do with prices."""

from typing import Any

import grpc.aio

from gateway.overrides.overrides import Overrides
from gateway.services.key_codec import optional_milliseconds, optional_text, text
from gateway.services.paging import page_place, page_size, page_token
from gateway.services.price_codec import price_message, prices_of
from llmgateway.v1 import admin_price_pb2 as pb
from llmgateway.v1.admin_service_pb2_grpc import AdminServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class PriceAdministration(AdminServiceServicer):
    """The prices of `AdminService`."""

    _overrides: Overrides

    async def SetPrice(self, request: pb.SetPriceRequest, context: Context) -> pb.SetPriceResponse:
        start = optional_milliseconds(request, "start_time")
        price = await self._overrides.price_store.put(
            text(request.provider, "provider"), text(request.model, "model"), prices_of(request.prices), start
        )
        await self._overrides.refresh()
        return pb.SetPriceResponse(price=price_message(price))

    async def ListPrices(self, request: pb.ListPricesRequest, context: Context) -> pb.ListPricesResponse:
        size = page_size(request.page_size)
        prices = await self._overrides.price_store.list(
            provider=optional_text(request.provider, "provider") or None,
            model=optional_text(request.model, "model") or None,
            after=page_place(request.page_token),
            limit=size + 1,
        )
        more = (prices[size - 1].valid_from, prices[size - 1].id) if len(prices) > size else None
        return pb.ListPricesResponse(prices=map(price_message, prices[:size]), next_page_token=page_token(more))

    async def DeletePrice(self, request: pb.DeletePriceRequest, context: Context) -> pb.DeletePriceResponse:
        await self._overrides.price_store.delete(text(request.price_id, "price_id"))
        await self._overrides.refresh()
        return pb.DeletePriceResponse()

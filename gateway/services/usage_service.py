"""What callers have used, what is left and what a request would cost."""

from typing import Any, Final

import grpc.aio
import msgspec

from gateway.admission.admission import Admission
from gateway.admission.key_ring import KeyRing
from gateway.admission.keys import Caller
from gateway.admission.limits.model import Standing
from gateway.dispatch.ask import Ask, ChatAsk, EmbeddingAsk
from gateway.dispatch.estimates import CostEstimator
from gateway.errors import InvalidRequest, PermissionDenied
from gateway.interceptors.base import current_rpc
from gateway.services.chat_codec import chat_request_body
from gateway.services.key_codec import standing_messages
from gateway.services.request_options import caller
from gateway.services.usage_codec import estimate_message, usage_groups, usage_question, usage_response
from gateway.storage.usage_queries import UsageQueries
from llmgateway.v1 import usage_service_pb2 as pb
from llmgateway.v1.usage_service_pb2_grpc import UsageServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]
_ALL: Final = "-"
_QUOTAS: Final = frozenset({"day", "month"})


class UsageService(UsageServiceServicer):
    """`UsageService` of the contract."""

    def __init__(self, usage: UsageQueries, admission: Admission, keys: KeyRing, costs: CostEstimator) -> None:
        self._usage = usage
        self._admission = admission
        self._keys = keys
        self._costs = costs

    async def GetUsage(self, request: pb.GetUsageRequest, context: Context) -> pb.GetUsageResponse:
        key_id = _whose(request.key_id)
        question = usage_question(request, None if key_id == _ALL else key_id)
        return usage_response(await self._usage.usage(question, usage_groups(request.group_by)))

    async def GetQuota(self, request: pb.GetQuotaRequest, context: Context) -> pb.GetQuotaResponse:
        standings = await self._standings(request.key_id)
        chosen = [standing for standing in standings if standing.rule.window in _QUOTAS]
        return pb.GetQuotaResponse(limits=standing_messages(chosen))

    async def GetRateLimit(self, request: pb.GetRateLimitRequest, context: Context) -> pb.GetRateLimitResponse:
        standings = await self._standings(request.key_id)
        chosen = [standing for standing in standings if standing.rule.window not in _QUOTAS]
        return pb.GetRateLimitResponse(limits=standing_messages(chosen))

    async def EstimateCost(self, request: pb.EstimateCostRequest, context: Context) -> pb.EstimateCostResponse:
        return pb.EstimateCostResponse(estimates=map(estimate_message, self._costs.estimate(_ask(request))))

    async def _standings(self, key_id: str) -> list[Standing]:
        asking = current_rpc().caller
        whose = _whose(key_id)
        asked: Caller = asking if whose == asking.key_id else await self._keys.caller(whose)
        return await self._admission.standing(asked.rules)


def _whose(key_id: str) -> str:
    """Return the id of the key that is asked about. Raises PermissionDenied."""
    asking = current_rpc().caller
    if key_id in {"", asking.key_id}:
        return asking.key_id
    if not asking.admin:
        raise PermissionDenied("Only a key with the admin right may ask about other keys.", param="key_id")
    return key_id


def _ask(request: pb.EstimateCostRequest) -> Ask[Any]:
    """Return the request as a call would be asked. Raises MalformedJson or InvalidRequest."""
    if request.WhichOneof("request") == "chat":
        return ChatAsk.parse(chat_request_body(request.chat), **caller())
    if request.WhichOneof("request") is None:
        raise InvalidRequest("The request is missing.", param="request", code="missing_required_parameter")
    body = request.body.data
    return (EmbeddingAsk if _is_for_embeddings(body) else ChatAsk).parse(body, **caller())


def _is_for_embeddings(body: bytes) -> bool:
    try:
        return "input" in _FIELDS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False  # whoever parses it says what is wrong


_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

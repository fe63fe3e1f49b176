from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from llmgateway.v1 import chat_request_pb2 as _chat_request_pb2
from llmgateway.v1 import limit_pb2 as _limit_pb2
from llmgateway.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetUsageRequest(_message.Message):
    __slots__ = ("start_day", "end_day", "group_by", "key_id", "project_id", "provider", "model")
    START_DAY_FIELD_NUMBER: _ClassVar[int]
    END_DAY_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    start_day: str
    end_day: str
    group_by: _containers.RepeatedScalarFieldContainer[str]
    key_id: str
    project_id: str
    provider: str
    model: str
    def __init__(self, start_day: _Optional[str] = ..., end_day: _Optional[str] = ..., group_by: _Optional[_Iterable[str]] = ..., key_id: _Optional[str] = ..., project_id: _Optional[str] = ..., provider: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("groups", "totals")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[_usage_pb2.UsageGroup]
    totals: _usage_pb2.UsageTotals
    def __init__(self, groups: _Optional[_Iterable[_Union[_usage_pb2.UsageGroup, _Mapping]]] = ..., totals: _Optional[_Union[_usage_pb2.UsageTotals, _Mapping]] = ...) -> None: ...

class GetQuotaRequest(_message.Message):
    __slots__ = ("key_id",)
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    def __init__(self, key_id: _Optional[str] = ...) -> None: ...

class GetQuotaResponse(_message.Message):
    __slots__ = ("limits",)
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    limits: _containers.RepeatedCompositeFieldContainer[_limit_pb2.LimitStanding]
    def __init__(self, limits: _Optional[_Iterable[_Union[_limit_pb2.LimitStanding, _Mapping]]] = ...) -> None: ...

class GetRateLimitRequest(_message.Message):
    __slots__ = ("key_id",)
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    def __init__(self, key_id: _Optional[str] = ...) -> None: ...

class GetRateLimitResponse(_message.Message):
    __slots__ = ("limits",)
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    limits: _containers.RepeatedCompositeFieldContainer[_limit_pb2.LimitStanding]
    def __init__(self, limits: _Optional[_Iterable[_Union[_limit_pb2.LimitStanding, _Mapping]]] = ...) -> None: ...

class EstimateCostRequest(_message.Message):
    __slots__ = ("chat", "body")
    CHAT_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    chat: _chat_request_pb2.ChatCompletionRequest
    body: _httpbody_pb2.HttpBody
    def __init__(self, chat: _Optional[_Union[_chat_request_pb2.ChatCompletionRequest, _Mapping]] = ..., body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class EstimateCostResponse(_message.Message):
    __slots__ = ("estimates",)
    ESTIMATES_FIELD_NUMBER: _ClassVar[int]
    estimates: _containers.RepeatedCompositeFieldContainer[_usage_pb2.CostEstimate]
    def __init__(self, estimates: _Optional[_Iterable[_Union[_usage_pb2.CostEstimate, _Mapping]]] = ...) -> None: ...

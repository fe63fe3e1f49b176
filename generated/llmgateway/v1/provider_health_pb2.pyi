import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProviderHealth(_message.Message):
    __slots__ = ("provider", "state", "last_check_time", "last_success_time", "latency_ms", "reason", "checks", "calls")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LAST_CHECK_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SUCCESS_TIME_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    provider: str
    state: str
    last_check_time: _timestamp_pb2.Timestamp
    last_success_time: _timestamp_pb2.Timestamp
    latency_ms: int
    reason: str
    checks: RecentAttempts
    calls: RecentAttempts
    def __init__(self, provider: _Optional[str] = ..., state: _Optional[str] = ..., last_check_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_success_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., latency_ms: _Optional[int] = ..., reason: _Optional[str] = ..., checks: _Optional[_Union[RecentAttempts, _Mapping]] = ..., calls: _Optional[_Union[RecentAttempts, _Mapping]] = ...) -> None: ...

class RecentAttempts(_message.Message):
    __slots__ = ("total", "failed", "error_rate")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    total: int
    failed: int
    error_rate: float
    def __init__(self, total: _Optional[int] = ..., failed: _Optional[int] = ..., error_rate: _Optional[float] = ...) -> None: ...

class ProviderState(_message.Message):
    __slots__ = ("provider", "state")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    provider: str
    state: str
    def __init__(self, provider: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class ProviderCheck(_message.Message):
    __slots__ = ("provider", "check_time", "state", "reason", "latency_ms", "calls", "checked_by")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    CHECK_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    CHECKED_BY_FIELD_NUMBER: _ClassVar[int]
    provider: str
    check_time: _timestamp_pb2.Timestamp
    state: str
    reason: str
    latency_ms: int
    calls: RecentAttempts
    checked_by: str
    def __init__(self, provider: _Optional[str] = ..., check_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., latency_ms: _Optional[int] = ..., calls: _Optional[_Union[RecentAttempts, _Mapping]] = ..., checked_by: _Optional[str] = ...) -> None: ...

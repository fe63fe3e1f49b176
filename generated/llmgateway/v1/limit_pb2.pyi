import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Limits(_message.Message):
    __slots__ = ("requests_per_minute", "tokens_per_minute", "concurrent", "requests_per_day", "requests_per_month", "spend_nano_usd_per_month", "strategy")
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    CONCURRENT_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MONTH_FIELD_NUMBER: _ClassVar[int]
    SPEND_NANO_USD_PER_MONTH_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    requests_per_minute: int
    tokens_per_minute: int
    concurrent: int
    requests_per_day: int
    requests_per_month: int
    spend_nano_usd_per_month: int
    strategy: str
    def __init__(self, requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., concurrent: _Optional[int] = ..., requests_per_day: _Optional[int] = ..., requests_per_month: _Optional[int] = ..., spend_nano_usd_per_month: _Optional[int] = ..., strategy: _Optional[str] = ...) -> None: ...

class LimitStanding(_message.Message):
    __slots__ = ("scope", "scope_id", "metric", "window", "limit", "used", "remaining", "reset_time")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    RESET_TIME_FIELD_NUMBER: _ClassVar[int]
    scope: str
    scope_id: str
    metric: str
    window: str
    limit: int
    used: int
    remaining: int
    reset_time: _timestamp_pb2.Timestamp
    def __init__(self, scope: _Optional[str] = ..., scope_id: _Optional[str] = ..., metric: _Optional[str] = ..., window: _Optional[str] = ..., limit: _Optional[int] = ..., used: _Optional[int] = ..., remaining: _Optional[int] = ..., reset_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

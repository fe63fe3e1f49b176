import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from llmgateway.v1 import provider_health_pb2 as _provider_health_pb2
from llmgateway.v1 import system_pb2 as _system_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LiveRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LiveResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: str
    def __init__(self, status: _Optional[str] = ...) -> None: ...

class ReadyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadyResponse(_message.Message):
    __slots__ = ("status", "checks")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    status: str
    checks: _containers.RepeatedCompositeFieldContainer[_system_pb2.SystemCheck]
    def __init__(self, status: _Optional[str] = ..., checks: _Optional[_Iterable[_Union[_system_pb2.SystemCheck, _Mapping]]] = ...) -> None: ...

class HealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HealthResponse(_message.Message):
    __slots__ = ("status", "checks")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    status: str
    checks: _containers.RepeatedCompositeFieldContainer[_system_pb2.SystemCheck]
    def __init__(self, status: _Optional[str] = ..., checks: _Optional[_Iterable[_Union[_system_pb2.SystemCheck, _Mapping]]] = ...) -> None: ...

class ListProviderHealthRequest(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: str
    def __init__(self, provider: _Optional[str] = ...) -> None: ...

class ListProviderHealthResponse(_message.Message):
    __slots__ = ("providers",)
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[_provider_health_pb2.ProviderHealth]
    def __init__(self, providers: _Optional[_Iterable[_Union[_provider_health_pb2.ProviderHealth, _Mapping]]] = ...) -> None: ...

class GetHealthSummaryRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetHealthSummaryResponse(_message.Message):
    __slots__ = ("status", "version", "database", "redis", "providers")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    REDIS_FIELD_NUMBER: _ClassVar[int]
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    status: str
    version: str
    database: str
    redis: str
    providers: _containers.RepeatedCompositeFieldContainer[_provider_health_pb2.ProviderState]
    def __init__(self, status: _Optional[str] = ..., version: _Optional[str] = ..., database: _Optional[str] = ..., redis: _Optional[str] = ..., providers: _Optional[_Iterable[_Union[_provider_health_pb2.ProviderState, _Mapping]]] = ...) -> None: ...

class GetVersionRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetVersionResponse(_message.Message):
    __slots__ = ("version", "commit", "python", "start_time", "config_version", "config_load_time")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_VERSION_FIELD_NUMBER: _ClassVar[int]
    CONFIG_LOAD_TIME_FIELD_NUMBER: _ClassVar[int]
    version: str
    commit: str
    python: str
    start_time: _timestamp_pb2.Timestamp
    config_version: str
    config_load_time: _timestamp_pb2.Timestamp
    def __init__(self, version: _Optional[str] = ..., commit: _Optional[str] = ..., python: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., config_version: _Optional[str] = ..., config_load_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

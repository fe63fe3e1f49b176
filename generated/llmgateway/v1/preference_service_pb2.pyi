from google.api import annotations_pb2 as _annotations_pb2
from llmgateway.v1 import preference_pb2 as _preference_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListModelPreferencesRequest(_message.Message):
    __slots__ = ("key_id",)
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    def __init__(self, key_id: _Optional[str] = ...) -> None: ...

class ListModelPreferencesResponse(_message.Message):
    __slots__ = ("preferences",)
    PREFERENCES_FIELD_NUMBER: _ClassVar[int]
    preferences: _containers.RepeatedCompositeFieldContainer[_preference_pb2.ModelPreference]
    def __init__(self, preferences: _Optional[_Iterable[_Union[_preference_pb2.ModelPreference, _Mapping]]] = ...) -> None: ...

class SetModelPreferenceRequest(_message.Message):
    __slots__ = ("name", "model", "key_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    key_id: str
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., key_id: _Optional[str] = ...) -> None: ...

class SetModelPreferenceResponse(_message.Message):
    __slots__ = ("preference",)
    PREFERENCE_FIELD_NUMBER: _ClassVar[int]
    preference: _preference_pb2.ModelPreference
    def __init__(self, preference: _Optional[_Union[_preference_pb2.ModelPreference, _Mapping]] = ...) -> None: ...

class DeleteModelPreferenceRequest(_message.Message):
    __slots__ = ("name", "key_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    key_id: str
    def __init__(self, name: _Optional[str] = ..., key_id: _Optional[str] = ...) -> None: ...

class DeleteModelPreferenceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

from llmgateway.v1 import embedding_pb2 as _embedding_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateEmbeddingsRequest(_message.Message):
    __slots__ = ("model", "texts", "token_arrays", "dimensions", "user", "extra_body_json")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ARRAYS_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    EXTRA_BODY_JSON_FIELD_NUMBER: _ClassVar[int]
    model: str
    texts: _embedding_pb2.EmbeddingTexts
    token_arrays: _embedding_pb2.EmbeddingTokenArrays
    dimensions: int
    user: str
    extra_body_json: str
    def __init__(self, model: _Optional[str] = ..., texts: _Optional[_Union[_embedding_pb2.EmbeddingTexts, _Mapping]] = ..., token_arrays: _Optional[_Union[_embedding_pb2.EmbeddingTokenArrays, _Mapping]] = ..., dimensions: _Optional[int] = ..., user: _Optional[str] = ..., extra_body_json: _Optional[str] = ...) -> None: ...

class CreateEmbeddingsResponse(_message.Message):
    __slots__ = ("data", "model", "usage", "extra_json")
    DATA_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    EXTRA_JSON_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedCompositeFieldContainer[_embedding_pb2.Embedding]
    model: str
    usage: _embedding_pb2.EmbeddingUsage
    extra_json: str
    def __init__(self, data: _Optional[_Iterable[_Union[_embedding_pb2.Embedding, _Mapping]]] = ..., model: _Optional[str] = ..., usage: _Optional[_Union[_embedding_pb2.EmbeddingUsage, _Mapping]] = ..., extra_json: _Optional[str] = ...) -> None: ...

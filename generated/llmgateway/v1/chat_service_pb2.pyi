from llmgateway.v1 import chat_chunk_pb2 as _chat_chunk_pb2
from llmgateway.v1 import chat_completion_pb2 as _chat_completion_pb2
from llmgateway.v1 import chat_request_pb2 as _chat_request_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateChatCompletionRequest(_message.Message):
    __slots__ = ("chat",)
    CHAT_FIELD_NUMBER: _ClassVar[int]
    chat: _chat_request_pb2.ChatCompletionRequest
    def __init__(self, chat: _Optional[_Union[_chat_request_pb2.ChatCompletionRequest, _Mapping]] = ...) -> None: ...

class CreateChatCompletionResponse(_message.Message):
    __slots__ = ("completion",)
    COMPLETION_FIELD_NUMBER: _ClassVar[int]
    completion: _chat_completion_pb2.ChatCompletion
    def __init__(self, completion: _Optional[_Union[_chat_completion_pb2.ChatCompletion, _Mapping]] = ...) -> None: ...

class StreamChatCompletionRequest(_message.Message):
    __slots__ = ("chat", "include_usage", "include_obfuscation")
    CHAT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_USAGE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_OBFUSCATION_FIELD_NUMBER: _ClassVar[int]
    chat: _chat_request_pb2.ChatCompletionRequest
    include_usage: bool
    include_obfuscation: bool
    def __init__(self, chat: _Optional[_Union[_chat_request_pb2.ChatCompletionRequest, _Mapping]] = ..., include_usage: _Optional[bool] = ..., include_obfuscation: _Optional[bool] = ...) -> None: ...

class StreamChatCompletionResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _chat_chunk_pb2.ChatCompletionChunk
    def __init__(self, chunk: _Optional[_Union[_chat_chunk_pb2.ChatCompletionChunk, _Mapping]] = ...) -> None: ...

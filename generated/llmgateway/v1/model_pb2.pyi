from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Model(_message.Message):
    __slots__ = ("id", "created", "owned_by", "capabilities", "context_window", "max_output_tokens", "prices", "aliases", "shutdown_date")
    ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    OWNED_BY_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_WINDOW_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    SHUTDOWN_DATE_FIELD_NUMBER: _ClassVar[int]
    id: str
    created: int
    owned_by: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    context_window: int
    max_output_tokens: int
    prices: ModelPrices
    aliases: _containers.RepeatedScalarFieldContainer[str]
    shutdown_date: str
    def __init__(self, id: _Optional[str] = ..., created: _Optional[int] = ..., owned_by: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., context_window: _Optional[int] = ..., max_output_tokens: _Optional[int] = ..., prices: _Optional[_Union[ModelPrices, _Mapping]] = ..., aliases: _Optional[_Iterable[str]] = ..., shutdown_date: _Optional[str] = ...) -> None: ...

class ModelPrices(_message.Message):
    __slots__ = ("prompt_nano_usd_per_million", "cached_prompt_nano_usd_per_million", "completion_nano_usd_per_million", "cache_write_nano_usd_per_million", "prompt_audio_nano_usd_per_million", "completion_audio_nano_usd_per_million", "long_prompt", "reasoning_nano_usd_per_million")
    PROMPT_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    CACHED_PROMPT_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    PROMPT_AUDIO_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_AUDIO_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    LONG_PROMPT_FIELD_NUMBER: _ClassVar[int]
    REASONING_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    prompt_nano_usd_per_million: int
    cached_prompt_nano_usd_per_million: int
    completion_nano_usd_per_million: int
    cache_write_nano_usd_per_million: int
    prompt_audio_nano_usd_per_million: int
    completion_audio_nano_usd_per_million: int
    long_prompt: LongPromptPrices
    reasoning_nano_usd_per_million: int
    def __init__(self, prompt_nano_usd_per_million: _Optional[int] = ..., cached_prompt_nano_usd_per_million: _Optional[int] = ..., completion_nano_usd_per_million: _Optional[int] = ..., cache_write_nano_usd_per_million: _Optional[int] = ..., prompt_audio_nano_usd_per_million: _Optional[int] = ..., completion_audio_nano_usd_per_million: _Optional[int] = ..., long_prompt: _Optional[_Union[LongPromptPrices, _Mapping]] = ..., reasoning_nano_usd_per_million: _Optional[int] = ...) -> None: ...

class LongPromptPrices(_message.Message):
    __slots__ = ("above_prompt_tokens", "prompt_nano_usd_per_million", "cached_prompt_nano_usd_per_million", "completion_nano_usd_per_million", "cache_write_nano_usd_per_million")
    ABOVE_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    CACHED_PROMPT_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    above_prompt_tokens: int
    prompt_nano_usd_per_million: int
    cached_prompt_nano_usd_per_million: int
    completion_nano_usd_per_million: int
    cache_write_nano_usd_per_million: int
    def __init__(self, above_prompt_tokens: _Optional[int] = ..., prompt_nano_usd_per_million: _Optional[int] = ..., cached_prompt_nano_usd_per_million: _Optional[int] = ..., completion_nano_usd_per_million: _Optional[int] = ..., cache_write_nano_usd_per_million: _Optional[int] = ...) -> None: ...

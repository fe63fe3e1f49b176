"""Embeddings by `batchEmbedContents`.

Source: the Generative Language API, `v1beta`, `BatchEmbedContentsRequest` (at most 100 inputs) and its answer.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from gateway.config import ProviderSettings
from gateway.errors import InvalidRequest, ProviderError
from gateway.providers.base import EmbeddingCall, ProviderEmbeddings
from gateway.providers.gemini.errors import reported_error
from gateway.providers.parameters import Parameters, forwarded_fields
from gateway.wire.completion import Usage
from gateway.wire.embeddings import embeddings_body

BATCH: Final = 100


class _Embedding(Struct):
    values: list[float]


class _Usage(Struct, rename="camel"):
    prompt_token_count: int = 0


class _Answer(Struct, rename="camel"):
    embeddings: list[_Embedding] = []
    usage_metadata: _Usage | None = None
    error: Any = None


_DECODER: Final = msgspec.json.Decoder(_Answer)


def embedding_batches(
    call: EmbeddingCall, provider: str, settings: ProviderSettings, parameters: Parameters
) -> list[bytes]:
    """Return the bodies to send, one after the other. Raises InvalidRequest."""
    request = call.request
    if request.user is not UNSET:
        parameters.unsupported("user")
    forwarded = forwarded_fields(request, call.body, settings)
    name = call.model if "/" in call.model else f"models/{call.model}"
    requests = []
    for item in request.inputs:
        if not isinstance(item, str):
            raise InvalidRequest(
                f"Invalid type for 'input': provider '{provider}' takes texts, no tokens.",
                param="input",
                code="unsupported_parameter",
            )
        one: dict[str, Any] = {"model": name, "content": {"parts": [{"text": item}]}}
        if request.dimensions is not UNSET:
            one["outputDimensionality"] = request.dimensions
        requests.append({**one, **forwarded})
    return [msgspec.json.encode({"requests": requests[at : at + BATCH]}) for at in range(0, len(requests), BATCH)]


def embeddings(provider: str, call: EmbeddingCall, answers: Iterable[bytes]) -> ProviderEmbeddings:
    """Return the vectors of all batches. Most models count no tokens: the body says 0 then, and `usage` is None."""
    vectors: list[list[float]] = []
    tokens = 0
    for body in answers:
        answer = _read(provider, body)
        vectors += [one.values for one in answer.embeddings]
        tokens += answer.usage_metadata.prompt_token_count if answer.usage_metadata else 0
    if len(vectors) != len(call.request.inputs) or not all(vectors):
        raise ProviderError(f"Provider '{provider}' did not send one vector for each input.")
    usage = Usage(prompt_tokens=tokens, total_tokens=tokens)
    body = embeddings_body(vectors, request=call.request, model=call.model, usage=usage)
    return ProviderEmbeddings(body, usage if tokens else None)


def _read(provider: str, body: bytes) -> _Answer:
    try:
        answer = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ProviderError(f"Provider '{provider}' sent an answer that is not one of batchEmbedContents.") from exc
    if answer.error is not None:
        raise reported_error(provider, body)
    return answer

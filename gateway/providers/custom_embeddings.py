"""The built-in provider's embeddings: vectors made from a hash of the text.

Equal texts have equal vectors, others are as good as orthogonal; a token array of `o200k_base` counts as its text. A
vector has length 1, and fewer `dimensions` give the front of the longer one, normalised again, as at OpenAI.
"""

import hashlib
import math
from array import array
from typing import Final

from gateway.errors import InvalidRequest, ModelNotFound
from gateway.providers.base import EmbeddingCall, ProviderEmbeddings
from gateway.providers.tokens import count_tokens, token_bytes
from gateway.wire.completion import Usage
from gateway.wire.embeddings import embeddings_body

MODEL: Final = "embed"
DIMENSIONS: Final = 256
MAX_DIMENSIONS: Final = 4096


def embed(call: EmbeddingCall) -> ProviderEmbeddings:
    """Return the vectors. Raises ModelNotFound or InvalidRequest."""
    if call.model != MODEL:
        raise ModelNotFound(
            f"The built-in provider has one embeddings model, '{MODEL}', not '{call.model}'.", param="model"
        )
    request = call.request
    dimensions = request.dimensions or DIMENSIONS
    if dimensions > MAX_DIMENSIONS:
        raise InvalidRequest(
            f"Invalid value for 'dimensions': '{MODEL}' makes at most {MAX_DIMENSIONS}.", param="dimensions"
        )
    vectors = [_vector(_text(item), dimensions) for item in request.inputs]
    tokens = sum(count_tokens(item) if isinstance(item, str) else len(item) for item in request.inputs)
    usage = Usage(prompt_tokens=tokens, total_tokens=tokens)
    return ProviderEmbeddings(embeddings_body(vectors, request=request, model=MODEL, usage=usage), usage)


def _text(item: str | list[int]) -> bytes:
    if isinstance(item, str):
        return item.encode()
    try:
        return token_bytes(item)
    except KeyError:
        raise InvalidRequest("Invalid value for 'input': it has a token out of range.", param="input") from None


def _vector(text: bytes, dimensions: int) -> list[float]:
    raw = array("i", hashlib.shake_256(text).digest(4 * dimensions))
    length = math.sqrt(sum(number * number for number in raw))
    return [number / length for number in raw]

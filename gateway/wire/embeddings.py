"""`POST /v1/embeddings`, request and answer.

Source: OpenAI's OpenAPI description, schemas `CreateEmbeddingRequest` and `CreateEmbeddingResponse`.
"""

import base64
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.errors import GatewayError, InvalidRequest
from gateway.wire.chat import ModelName
from gateway.wire.completion import Usage
from gateway.wire.parse import parse_request

MAX_INPUTS: Final = 2048

Text = Annotated[str, Meta(min_length=1)]
Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Tokens = Annotated[list[Token], Meta(min_length=1)]
Vector = Sequence[float]


class EmbeddingRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A request for vectors. `inputs` reads `input` in its one regular form."""

    model: ModelName
    input: Text | Annotated[list[Text | Token | Tokens], Meta(min_length=1)]
    encoding_format: Literal["float", "base64"] | UnsetType = UNSET
    dimensions: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = UNSET
    user: str | UnsetType = UNSET

    @property
    def inputs(self) -> list[str] | list[list[int]]:
        """The inputs, one for each vector: all texts or all token arrays."""
        if isinstance(self.input, str):
            return [self.input]
        inputs: Any = self.input  # the parser saw that all items are of one type
        return [inputs] if isinstance(inputs[0], int) else inputs

    @property
    def wants_base64(self) -> bool:
        """Whether vectors are to be base64 of little-endian 32-bit floats, rather than numbers."""
        return self.encoding_format == "base64"


class _ForwardingEmbeddingRequest(EmbeddingRequest, kw_only=True, forbid_unknown_fields=False):
    """The same, tolerant of unknown top-level fields, for targets that forward them."""


_STRICT: Final = msgspec.json.Decoder(EmbeddingRequest)
_FORWARDING: Final = msgspec.json.Decoder(_ForwardingEmbeddingRequest)


def parse_embedding_request(body: bytes) -> tuple[EmbeddingRequest, GatewayError | None]:
    """Parse an embeddings request body.

    Returns the request and the error for an unknown top-level field, as `parse_request` does. Raises MalformedJson or
    InvalidRequest for everything else.
    """
    request, unknown_field = parse_request(body, _STRICT, _FORWARDING)
    if isinstance(request.input, list):
        kind = type(request.input[0])
        if any(type(item) is not kind for item in request.input):
            raise InvalidRequest(
                "Invalid type for 'input': expected only texts, only tokens or only token arrays.",
                param="input",
                code="invalid_type",
            )
        if kind is not int and len(request.input) > MAX_INPUTS:
            raise InvalidRequest(
                f"Invalid value for 'input': {len(request.input)} inputs are more than {MAX_INPUTS}.", param="input"
            )
    return request, unknown_field


class Embedding(Struct, kw_only=True):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: str | list[float]


class EmbeddingUsage(Struct):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


def embeddings_body(vectors: Iterable[Vector], *, request: EmbeddingRequest, model: str, usage: Usage) -> bytes:
    """Return the answer to `request`: one vector for each input, as 32-bit floats in the encoding it asks for."""
    encode = _base64 if request.wants_base64 else _numbers
    data = [Embedding(index=index, embedding=encode(array("f", vector))) for index, vector in enumerate(vectors)]
    tokens = EmbeddingUsage(usage.prompt_tokens, usage.total_tokens)
    return msgspec.json.encode(EmbeddingList(data=data, model=model, usage=tokens))


def _numbers(vector: "array[float]") -> list[float]:
    return vector.tolist()


def _base64(vector: "array[float]") -> str:
    if sys.byteorder == "big":
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode()

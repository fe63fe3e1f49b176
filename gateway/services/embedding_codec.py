"""Embeddings between the contract's messages and OpenAI's JSON.

Source: OpenAI's OpenAPI description, schemas `CreateEmbeddingRequest` and `CreateEmbeddingResponse`. A vector in base64
holds little-endian 32-bit floats, byte for byte what protobuf packs a `repeated float` into.
"""

import binascii
from typing import Any, Final

import msgspec

from gateway.services.answer_reader import AnswerReader
from gateway.services.json_text import extra_fields
from llmgateway.v1 import embedding_pb2
from llmgateway.v1 import embedding_service_pb2 as pb

_TAKEN: Final = {*pb.CreateEmbeddingsRequest.DESCRIPTOR.fields_by_name, "input", "encoding_format"}
_VECTOR_TAG: Final = bytes([embedding_pb2.Embedding.EMBEDDING_FIELD_NUMBER << 3 | 2])
"""The key of a packed field: its number and the wire type "length-delimited"."""


class _Vector(msgspec.Struct):
    index: int
    embedding: str | list[float]


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    total_tokens: int = 0


class _Embeddings(msgspec.Struct, kw_only=True):
    object: str = "list"
    data: list[_Vector]
    model: str
    usage: _Usage | None = None


def embedding_request_body(request: pb.CreateEmbeddingsRequest) -> bytes:
    """Return the JSON body of `request`, with the fields that are set, asking for vectors in base64.

    Raises InvalidRequest if `extra_body_json` is not a JSON object or clashes with another field.
    """
    body: dict[str, Any] = {}
    if request.model:
        body["model"] = request.model
    kind = request.WhichOneof("input")
    if kind == "texts":
        body["input"] = list(request.texts.values)
    elif kind == "token_arrays":
        body["input"] = [list(array.tokens) for array in request.token_arrays.values]
    body["encoding_format"] = "base64"
    if request.HasField("dimensions"):
        body["dimensions"] = request.dimensions
    if request.user:
        body["user"] = request.user
    if request.extra_body_json:
        body |= extra_fields(request.extra_body_json, _TAKEN)
    return msgspec.json.encode(body)


def embeddings_message(body: bytes) -> pb.CreateEmbeddingsResponse:
    """Return the answer `body`, its vectors in the order of the inputs. Vectors may be base64 or numbers.

    Raises ProviderError if it has another shape.
    """
    return _EMBEDDINGS.read(body)


def _embeddings(answer: _Embeddings, extra: str) -> pb.CreateEmbeddingsResponse:
    message = pb.CreateEmbeddingsResponse(model=answer.model, extra_json=extra)
    message.usage.SetInParent()
    if answer.usage is not None:
        message.usage.prompt_tokens = answer.usage.prompt_tokens
        message.usage.total_tokens = answer.usage.total_tokens
    for vector in sorted(answer.data, key=lambda vector: vector.index):
        target = message.data.add()
        target.index = vector.index
        if isinstance(vector.embedding, str):
            _set_packed(target, binascii.a2b_base64(vector.embedding, strict_mode=True))
        else:
            target.embedding.extend(vector.embedding)
    return message


def _set_packed(target: embedding_pb2.Embedding, floats: bytes) -> None:
    if len(floats) % 4:
        raise ValueError("a vector is not a whole number of floats")
    target.MergeFromString(_VECTOR_TAG + _varint(len(floats)) + floats)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_EMBEDDINGS: Final = AnswerReader(_Embeddings, _embeddings)

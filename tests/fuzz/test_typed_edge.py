"""Whatever a gRPC caller sends, the answer is right: a status with details, never INTERNAL, nothing of our inside."""

import json
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from gateway.app import SERVICE_NAMES
from llmgateway.v1 import chat_service_pb2 as chat_pb
from tests.fuzz.answers import bounded, check_status
from tests.fuzz.inputs import CHATS, MODELS, VALUES, nearly_right
from tests.support.stack import AUTH, Stack

METHODS: dict[str, tuple[type[Message], bool]] = {
    f"{service}/{method.name}": (GetMessageClass(method.input_type), method.server_streaming)
    for service in SERVICE_NAMES
    for method in descriptor_pool.Default().FindServiceByName(service).methods
}
CHAT_RPCS = ["llmgateway.v1.ChatService/CreateChatCompletion", "llmgateway.v1.ChatService/StreamChatCompletion"]
REPEATED = 3
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "",
        "{}",
        "{",
        "[1]",
        '{"a":1}',
        "auto",
        "https://example.org/a.png",
        "data:image/png;base64,aGk=",
        "call_1",
        "low",
    ]
)
JSON_TEXTS = VALUES.map(json.dumps) | TEXTS


def scalars(field: Any) -> st.SearchStrategy[Any]:
    """Return values for a field that is no message."""
    if field.type == FieldDescriptor.TYPE_STRING:
        if field.name == "model":
            return st.sampled_from([*MODELS, "custom/embed"]) | TEXTS
        return JSON_TEXTS if field.name.endswith("_json") else TEXTS
    if field.type == FieldDescriptor.TYPE_ENUM:
        return st.integers(-1, 9)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=30) | nearly_right(CHATS).map(lambda body: json.dumps(body).encode())
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type in {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}:
        return st.floats(0, 2) | st.floats(width=32)
    bits = 31 if field.type == FieldDescriptor.TYPE_INT32 else 63
    return st.integers(0, 9) | st.integers(-(2**bits), 2**bits - 1)


@st.composite
def messages(draw: st.DrawFn, kind: type[Message]) -> Any:
    """Any message of this type; the ones that it needs to be worth anything are mostly there."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        wanted = field.name in {"chat", "messages", "model", "role", "content", "input", "body", "data"}
        if not draw(st.integers(0, 9)) < (9 if wanted else 2):
            continue
        if field.message_type is None:
            values = scalars(field)
            if field.is_repeated:
                getattr(message, field.name).extend(draw(st.lists(values, max_size=REPEATED)))
            else:
                setattr(message, field.name, draw(values))
        elif field.message_type.GetOptions().map_entry:
            key, value = (scalars(part) for part in field.message_type.fields)
            getattr(message, field.name).update(draw(st.dictionaries(key, value, max_size=REPEATED)))
        elif field.message_type.file.package == "llmgateway.v1" or field.name == "body":
            described: Any = field.message_type
            inner = messages(GetMessageClass(described))
            if field.is_repeated:
                getattr(message, field.name).extend(draw(st.lists(inner, min_size=int(wanted), max_size=REPEATED)))
            else:
                getattr(message, field.name).CopyFrom(draw(inner))
    return message


async def ask(
    stack: Stack,
    method: str,
    request: bytes,
    *,
    through_envoy: bool,
    metadata: tuple[tuple[str, str], ...] = AUTH,
    timeout: float = 15,
) -> None:
    """Call with the bytes of a message and check how the call ends."""
    path = f"/{method}"
    sent = request.decode("utf-8", "replace") + " ".join(value for _, value in metadata)
    streams = METHODS.get(method, (Message, False))[1]
    async with stack.channel(stack.envoy if through_envoy else None) as channel:
        kind = channel.unary_stream if streams else channel.unary_unary
        call = kind(path, request_serializer=None, response_deserializer=None)(
            request, metadata=metadata, timeout=timeout
        )
        try:
            if streams:
                async for _ in call:
                    pass
            else:
                await call
        except grpc.aio.AioRpcError as error:
            await check_status(error, call, sent)


CALLS = st.sampled_from([*CHAT_RPCS * 6, *METHODS]).flatmap(
    lambda method: st.tuples(st.just(method), messages(METHODS[method][0]))
)


@bounded(2400)
@given(call=CALLS, through_envoy=st.booleans())
async def test_any_message(fuzzed: Stack, call: tuple[str, Message], through_envoy: bool) -> None:
    """Messages of the contract with any values in any field."""
    method, request = call
    await ask(fuzzed, method, request.SerializeToString(), through_envoy=through_envoy)


@bounded(1800)
@given(
    method=st.sampled_from([*METHODS, "llmgateway.v1.ChatService/Nothing", "Nobody/Nothing", ""]),
    request=st.binary(max_size=40),
    through_envoy=st.booleans(),
)
async def test_any_bytes(fuzzed: Stack, method: str, request: bytes, through_envoy: bool) -> None:
    """Bytes that are no message, and methods that do not exist."""
    await ask(fuzzed, method, request, through_envoy=through_envoy)


VALUES_OF_METADATA = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30).map(str.strip)


@bounded(600)
@given(
    metadata=st.dictionaries(
        st.sampled_from(
            ["authorization", "x-request-timeout-ms", "x-request-id", "x-envoy-original-path", "traceparent"]
        ),
        st.sampled_from(["0", "-1", "9" * 40, "1e3", "Bearer", "Basic eA==", "/v1/models", "00-" + "0" * 52])
        | VALUES_OF_METADATA,
    ),
    timeout=st.sampled_from([15.0, 0.001, 0.03]),
)
async def test_any_metadata(fuzzed: Stack, metadata: dict[str, str], timeout: float) -> None:
    """Metadata that the gateway reads, with any value, and deadlines that have nearly passed."""
    request = chat_pb.CreateChatCompletionRequest()
    request.chat.model = "custom/echo"
    request.chat.messages.add(role=3).content.add(text="hello")
    await ask(
        fuzzed,
        CHAT_RPCS[0],
        request.SerializeToString(),
        through_envoy=False,
        metadata=tuple({**dict(AUTH), **metadata}.items()),
        timeout=timeout,
    )

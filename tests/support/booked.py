"""A gateway in front of a counting vendor, with prices, called over gRPC."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.api.httpbody_pb2 import HttpBody

from gateway.admission.bound import prompt_bound
from gateway.app import running
from gateway.config import Settings, load
from gateway.wire.chat import parse_chat_request
from llmgateway.v1.openai_service_pb2 import OpenAIServiceChatCompletionsRequest, OpenAIServiceEmbeddingsRequest
from llmgateway.v1.openai_service_pb2_grpc import OpenAIServiceStub
from tests.support.counting_vendor import orders
from tests.support.stack import KEY, UNLIMITED

MODEL = "openai/counted"
INPUT_NANO, OUTPUT_NANO = 1000, 2000
"""What a token costs, in nano-dollars."""
CONFIG = """
models:
  openai/counted:
    prices: {input: 1000000000, output: 2000000000}
  openai/free:
    prices: {input: 0, output: 0}
"""


def cost(prompt_tokens: int, tokens: int) -> int:
    """Return what a call of the model `counted` costs."""
    return prompt_tokens * INPUT_NANO + tokens * OUTPUT_NANO


def prompt_tokens_of(messages: list[dict[str, Any]]) -> int:
    """Return the prompt tokens that admission reserves for these messages."""
    body = json.dumps({"model": MODEL, "messages": messages}).encode()
    return prompt_bound(parse_chat_request(body)[0])


def exact_orders(call_id: str, tokens: int) -> list[dict[str, Any]]:
    """Return orders that let the vendor count just the prompt tokens which admission reserves."""
    counted = 100
    while (bound := prompt_tokens_of(orders(call_id, tokens, counted))) != counted:
        counted = bound
    return orders(call_id, tokens, counted)


def booked_settings(folder: Path, vendor_url: str, environment: Mapping[str, str], yaml: str = "") -> Settings:
    """Return settings whose provider `openai` is the vendor."""
    config = folder / "gateway.yaml"
    config.write_text(CONFIG + yaml)
    defaults = {
        **UNLIMITED,
        "GATEWAY_MASTER_KEY": "test-master-key",
        "JOURNAL_DIR": str(folder / "journal"),
        "OPENAI_API_KEY": "sk-vendor-secret",
        "OPENAI_BASE_URL": vendor_url + "/v1",
        "AI_GATEWAY_MAX_RETRIES": "0",
    }
    return load({**defaults, **environment}, config)


@dataclass
class Booked:
    """A running gateway's OpenAI edge."""

    stub: OpenAIServiceStub

    async def ask(self, messages: list[dict[str, Any]], key: str = KEY, **fields: Any) -> dict[str, Any]:
        """Return a whole answer. Raises grpc.aio.AioRpcError."""
        (answer,) = [answer async for answer in self.call(messages, key, **fields)]
        body: dict[str, Any] = json.loads(answer.data)
        return body

    async def outcome(self, messages: list[dict[str, Any]], key: str = KEY, **fields: Any) -> grpc.StatusCode:
        """Return how a whole answer ends."""
        try:
            await self.ask(messages, key, **fields)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    def call(
        self, messages: list[dict[str, Any]], key: str = KEY, metadata: Mapping[str, str] | None = None, **fields: Any
    ) -> Any:
        """Return the RPC under way; cancel it, or read its messages."""
        body = json.dumps({"model": MODEL, "messages": messages, **fields}).encode()
        request = OpenAIServiceChatCompletionsRequest(body=HttpBody(data=body))
        sent = {"authorization": f"Bearer {key}", **(metadata or {})}
        return self.stub.ChatCompletions(request, metadata=tuple(sent.items()))

    async def embed(
        self, text: str | list[str], key: str = KEY, metadata: Mapping[str, str] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Return an embeddings list. Raises grpc.aio.AioRpcError."""
        body = json.dumps({"model": MODEL, "input": text, **fields}).encode()
        request = OpenAIServiceEmbeddingsRequest(body=HttpBody(data=body))
        sent = {"authorization": f"Bearer {key}", **(metadata or {})}
        call: Any = self.stub.Embeddings(request, metadata=tuple(sent.items()))
        answer: HttpBody = await call
        found: dict[str, Any] = json.loads(answer.data)
        return found


@asynccontextmanager
async def booked(settings: Settings) -> AsyncIterator[Booked]:
    """Yield the gateway in this process."""
    async with (
        running(settings, addresses=["127.0.0.1:0"]) as app,
        connected(f"127.0.0.1:{app.grpc_port}") as gateway,
    ):
        yield gateway


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Booked]:
    """Yield a gateway that runs at `address`."""
    async with grpc.aio.insecure_channel(address) as channel:
        yield Booked(OpenAIServiceStub(channel))

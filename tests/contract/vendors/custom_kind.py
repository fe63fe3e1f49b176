"""The built-in provider, which has no vendor behind it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from tests.contract.case import Answer, Json, Sends
from tests.contract.vendors.kind import SOME, choice_json, usage_json
from tests.support.vendor import Stream, Vendor


class CustomKind:
    name = "custom"
    model = "echo"

    def environment(self, url: str) -> Mapping[str, str]:
        return {}

    def running(self) -> AbstractAsyncContextManager[Vendor]:
        return _nobody()

    def path(self, *, streaming: bool) -> str:
        raise NotImplementedError

    def received(self, body: Json, sends: Sends, *, streaming: bool) -> dict[str, Any]:
        raise NotImplementedError

    def whole(self, answer: Answer) -> Any:
        return None

    def stream(self, answer: Answer) -> Stream:
        return Stream([])

    def expected(self, answer: Answer) -> dict[str, Any]:
        choices = [choice_json(choice, index, own_ids=False) for index, choice in enumerate(answer.choices)]
        head = {"id": SOME, "object": "chat.completion", "created": SOME, "model": self.model}
        return {**head, "choices": choices, "usage": usage_json(answer)}


@asynccontextmanager
async def _nobody() -> AsyncIterator[Vendor]:
    yield Vendor()

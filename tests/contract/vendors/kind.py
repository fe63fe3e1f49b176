"""What the corpus needs of a provider: how its vendor is told, and how it answers, in its own wire format."""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from tests.contract.case import Answer, Call, Choice, Json, Sends
from tests.support.vendor import Stream, Vendor


class Some:
    """Equals every text that is not empty and every number above 0: what a gateway or vendor makes up."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str | int) and bool(other)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "<some>"


SOME = Some()


class Kind(Protocol):
    """One kind of provider."""

    @property
    def name(self) -> str:
        """The provider's name in the gateway, and its column in the corpus."""
        ...

    @property
    def model(self) -> str:
        """The provider's own name for the model that is asked."""
        ...

    def environment(self, url: str) -> Mapping[str, str]:
        """Return the variables that point the provider at `url`."""
        ...

    def running(self) -> AbstractAsyncContextManager[Vendor]:
        """Run the vendor; leaving fails if a request broke the vendor's documentation."""
        ...

    def path(self, *, streaming: bool) -> str:
        """Return the path that a request comes to."""
        ...

    def received(self, body: Json, sends: Sends, *, streaming: bool) -> dict[str, Any]:
        """Return the body that the vendor has to get for the caller's `body`."""
        ...

    def whole(self, answer: Answer) -> Any:
        """Return the vendor's JSON for a whole answer."""
        ...

    def stream(self, answer: Answer) -> Stream:
        """Return the vendor's stream of the same answer."""
        ...

    def expected(self, answer: Answer) -> dict[str, Any]:
        """Return what the caller has to get, in OpenAI's wire format with all its nulls."""
        ...


def halves(content: str) -> list[str]:
    """Cut a text in two where it can be cut; a stream brings it in these pieces."""
    middle = len(content) // 2
    return [piece for piece in (content[:middle], content[middle:]) if piece]


def packets(events: list[bytes], answer: Answer) -> list[bytes]:
    """Return the packets of a stream: one an event, or shreds of three bytes."""
    if not answer.shred:
        return events
    whole = b"".join(events)
    return [whole[at : at + 3] for at in range(0, len(whole), 3)]


def data_events(chunks: list[Any]) -> list[bytes]:
    return [b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n" for chunk in chunks]


def usage_json(answer: Answer) -> dict[str, Any]:
    """The usage in OpenAI's words."""
    assert answer.usage is not None
    prompt, completion = answer.usage
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if answer.cached is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": answer.cached}
    if answer.thought is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": answer.thought}
    return usage


def call_json(call: Call, *, own_id: bool = True) -> dict[str, Any]:
    """A tool call in OpenAI's words; without `own_id` the gateway makes the id."""
    function = {"name": call.name, "arguments": call.arguments}
    fields: dict[str, Any] = {"id": call.id if own_id else SOME, "type": "function", "function": function}
    if call.signature is not None:
        fields["extra_content"] = {"google": {"thought_signature": call.signature}}
    return fields


def message_json(choice: Choice, *, own_ids: bool = True) -> dict[str, Any]:
    """A message in OpenAI's words."""
    message: dict[str, Any] = {"role": "assistant", "content": choice.content, "refusal": choice.refusal}
    if choice.reasoning is not None:
        message["reasoning_content"] = choice.reasoning
    if choice.calls:
        message["tool_calls"] = [call_json(call, own_id=own_ids) for call in choice.calls]
    return message | dict(choice.more)


def choice_json(choice: Choice, index: int, *, own_ids: bool = True) -> dict[str, Any]:
    """A choice in OpenAI's words."""
    return {
        "index": index,
        "message": message_json(choice, own_ids=own_ids),
        "logprobs": {"content": list(choice.logprobs), "refusal": None} if choice.logprobs else None,
        "finish_reason": choice.finish,
    }

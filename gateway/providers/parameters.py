"""Request parameters that a provider does not have: refused by name, or left out where the operator says so.

An adapter that translates requests declares the parameters it can say to its vendor; every other one that a caller
sets is unsupported, so that a parameter added to the wire format later is refused and not lost.
"""

from collections.abc import Collection
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw

from gateway.config import VENDOR_FIELDS, ProviderSettings
from gateway.errors import InvalidRequest
from gateway.wire.chat import ChatRequest, TextFormat
from gateway.wire.embeddings import EmbeddingRequest

Policy = Literal["refuse", "drop"]

_NULL: Final = Raw(b"null")
_ALWAYS_KNOWN: Final = frozenset({"model", "messages", "stream", "stream_options"})

_ASKS_FOR_NOTHING: Final[dict[str, tuple[Any, ...]]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "metadata": ({},),
    "store": (False,),
    "service_tier": ("auto", "default"),
    "modalities": (["text"],),
    "response_format": (TextFormat(),),
    "tool_choice": ("auto", "none"),
    "parallel_tool_calls": (True,),
}
"""Values that say what happens anyway; no provider needs to have the parameter for them."""


class Parameters:
    """The parameters that one provider has, and those that it is `missing`, about which `policy` decides."""

    __slots__ = ("_drop", "_provider", "missing")

    def __init__(self, provider: str, policy: Policy, known: Collection[str]) -> None:
        self._provider = provider
        self._drop = policy == "drop"
        self.missing: Final = tuple(
            name for name in ChatRequest.__struct_fields__ if name not in _ALWAYS_KNOWN and name not in known
        )

    def check(self, request: ChatRequest) -> None:
        """Refuse the first parameter that the caller sets and the provider does not have.

        Raises InvalidRequest with code `unsupported_parameter`, unless the policy is to drop such parameters: then the
        adapter leaves them out.
        """
        if self._drop:
            return
        for name in self.missing:
            value = getattr(request, name)
            if value is None or value is UNSET or value == _NULL:
                continue
            if value not in _ASKS_FOR_NOTHING.get(name, ()):
                raise self._refusal(name)

    def unsupported(self, param: str, value: object = None) -> None:
        """Refuse a parameter, a part of one or one value of it, which only the adapter knows to be unsupported.

        Returns where the policy is to drop it. Raises InvalidRequest with code `unsupported_parameter`.
        """
        if not self._drop:
            raise self._refusal(param, value)

    def _refusal(self, param: str, value: object = None) -> InvalidRequest:
        what = f"'{param}'" if value is None else f"the value '{value}' of '{param}'"
        return InvalidRequest(
            f"Unsupported parameter: provider '{self._provider}' does not have {what}.",
            param=param,
            code="unsupported_parameter",
        )


def forwarded_fields(
    request: ChatRequest | EmbeddingRequest, body: bytes, settings: ProviderSettings
) -> dict[str, Raw]:
    """Return the top-level fields that neither OpenAI nor the gateway knows of this vendor, for the vendor to judge.

    Raises InvalidRequest for the first of them unless the operator has them forwarded.
    """
    if type(request) in {ChatRequest, EmbeddingRequest}:
        return {}  # parsed strictly: it has OpenAI's fields only
    known = set(request.__struct_fields__)
    if isinstance(request, ChatRequest):
        known |= VENDOR_FIELDS.get(settings.kind, frozenset())
    unknown = {name: value for name, value in _FIELDS.decode(body).items() if name not in known}
    if unknown and settings.unknown_fields == "refuse":
        name = next(iter(unknown))
        raise InvalidRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    return unknown


_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])

"""What Gemini lists.

Source: the Generative Language API, `v1beta`, `ListModelsResponse` and `Model`.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.errors import ProviderError
from gateway.providers.base import ListedModel
from gateway.providers.gemini.errors import reported_error

_CHAT: Final = "generateContent"
_EMBED: Final = frozenset({"embedContent", "batchEmbedContents"})


class _Model(Struct, rename="camel"):
    name: str
    input_token_limit: int | None = None
    output_token_limit: int | None = None
    supported_generation_methods: list[str] = []
    thinking: bool = False


class _Answer(Struct, rename="camel"):
    models: list[_Model] = []
    next_page_token: str | None = None
    error: Any = None


_DECODER: Final = msgspec.json.Decoder(_Answer)


def listed_models(provider: str, body: bytes) -> tuple[list[ListedModel], str | None]:
    """Return the models of one page that chat or make embeddings, and the next page's token. Raises ProviderError."""
    try:
        answer = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ProviderError(f"Provider '{provider}' sent an answer that is not a list of models.") from exc
    if answer.error is not None:
        raise reported_error(provider, body)
    return [card for model in answer.models if (card := _listed(model))], answer.next_page_token or None


def _listed(model: _Model) -> ListedModel | None:
    methods = model.supported_generation_methods
    embeds = not _EMBED.isdisjoint(methods)
    if _CHAT not in methods and not embeds:
        return None
    return ListedModel(
        id=model.name.removeprefix("models/"),
        owned_by="google",
        capabilities=("embeddings",) if embeds else ("chat", "reasoning") if model.thinking else ("chat",),
        context_window=model.input_token_limit,
        max_output_tokens=None if embeds else model.output_token_limit,
    )

"""What models an Ollama has, asked with its own SDK."""

from typing import Final

import httpx
import ollama

from gateway.catalog.entries import Capability
from gateway.errors import ProviderError
from gateway.providers.base import ListedModel
from gateway.providers.upstream import status_error

_CAPABILITIES: Final[dict[str, tuple[Capability, ...]]] = {
    "completion": ("chat", "json_object", "json_schema", "logprobs"),
    "tools": ("tools",),
    "vision": ("vision",),
    "audio": ("audio_input",),
    "thinking": ("reasoning",),
    "embedding": ("embeddings",),
}
"""Ollama's words, and the catalog's for what they bring."""


async def listed_models(client: ollama.AsyncClient, provider: str) -> list[ListedModel]:
    """Return the models with what Ollama knows of each. Raises the row of the error table for a list that fails."""
    try:
        listed = (await client.list()).models
    except ollama.ResponseError as exc:
        raise status_error(provider, exc.status_code, {}, b"") from exc
    except (httpx.HTTPError, OSError) as exc:
        raise ProviderError(f"The connection to provider '{provider}' failed.") from exc
    except (ValueError, TypeError, AttributeError) as exc:
        raise ProviderError(f"Provider '{provider}' sent an answer that is not a list of models.") from exc
    return [await _described(client, model.model, _created(model)) for model in listed if model.model]


async def _described(client: ollama.AsyncClient, name: str, created: int) -> ListedModel:
    """Return one model; where Ollama does not describe it, its name alone."""
    try:
        shown = await client.show(name)
    except (ollama.ResponseError, httpx.HTTPError, OSError, ValueError, TypeError, AttributeError):
        return ListedModel(id=name, created=created)
    words = [word for ability in shown.capabilities or () for word in _CAPABILITIES.get(ability, ())]
    windows = [value for key, value in (shown.modelinfo or {}).items() if key.endswith(".context_length")]
    return ListedModel(
        id=name,
        created=created,
        capabilities=tuple(words),
        context_window=windows[0] if windows and isinstance(windows[0], int) else None,
    )


def _created(model: ollama.ListResponse.Model) -> int:
    return int(model.modified_at.timestamp()) if model.modified_at else 0

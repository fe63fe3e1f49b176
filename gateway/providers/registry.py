"""Which class serves which kind of provider."""

import aiohttp

from gateway.config import ProviderSettings
from gateway.providers.base import Provider
from gateway.providers.cerebras import CerebrasProvider
from gateway.providers.custom import CustomProvider
from gateway.providers.gemini import GeminiProvider
from gateway.providers.ollama.provider import OllamaProvider
from gateway.providers.openai import OpenAIProvider


def build_provider(name: str, settings: ProviderSettings, session: aiohttp.ClientSession) -> Provider:
    """Return the provider that `settings` describe."""
    match settings.kind:
        case "openai":
            return OpenAIProvider(name, settings, session)
        case "gemini":
            return GeminiProvider(name, settings, session)
        case "cerebras":
            return CerebrasProvider(name, settings, session)
        case "ollama":
            return OllamaProvider(name, settings, session)
        case "custom":
            return CustomProvider(name, chunk_delay=settings.chunk_delay_s)

"""Which class serves which kind of provider."""

from gateway.config import ProviderSettings
from gateway.http.client import HttpClient
from gateway.providers.base import Provider
from gateway.providers.cerebras import CerebrasProvider
from gateway.providers.custom import CustomProvider
from gateway.providers.gemini import GeminiProvider
from gateway.providers.ollama.provider import OllamaProvider
from gateway.providers.openai import OpenAIProvider


def build_provider(name: str, settings: ProviderSettings, http: HttpClient) -> Provider:
    """Return the provider that `settings` describe."""
    match settings.kind:
        case "openai":
            return OpenAIProvider(name, settings, http)
        case "gemini":
            return GeminiProvider(name, settings, http)
        case "cerebras":
            return CerebrasProvider(name, settings, http)
        case "ollama":
            return OllamaProvider(name, settings, http)
        case "custom":
            return CustomProvider(name, chunk_delay=settings.chunk_delay_s)

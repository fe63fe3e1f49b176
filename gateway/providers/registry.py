"""Which class serves which kind of provider."""

from collections.abc import Callable

from gateway.config import ProviderSettings
from gateway.http.client import HttpClient
from gateway.providers.base import Provider
from gateway.providers.custom import CustomProvider

Builder = Callable[[str, ProviderSettings, HttpClient], Provider]


def builder_of(settings: ProviderSettings) -> Builder:
    """Return what builds a provider that has these settings, of its name, the settings and the HTTP client.

    A vendor's SDK is imported when one is asked for the first time, since that takes 0.2 to 0.6 s and up to 50 MiB.
    """
    match settings.kind:
        case "openai":
            from gateway.providers.openai import OpenAIProvider

            return OpenAIProvider
        case "gemini":
            from gateway.providers.gemini import GeminiProvider

            return GeminiProvider
        case "cerebras":
            from gateway.providers.cerebras import CerebrasProvider

            return CerebrasProvider
        case "ollama":
            from gateway.providers.ollama.provider import OllamaProvider

            return OllamaProvider
        case "custom":
            return lambda name, settings, _http: CustomProvider(name, chunk_delay=settings.chunk_delay_s)

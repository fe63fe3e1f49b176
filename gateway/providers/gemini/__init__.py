"""Gemini: Google's Generative Language API, `v1beta`, over REST."""

from gateway.providers.gemini.provider import GeminiProvider

__all__ = ["GeminiProvider"]

"""Ollama: OpenAI's requests and answers to and from its native API."""

"""OpenAI's wire format: the vocabulary that the whole gateway speaks inside."""

"""How many prompt tokens an embeddings request has at most."""

from typing import Final

from gateway.providers.tokens import count_tokens
from gateway.wire.embeddings import EmbeddingRequest

EXACT_BYTES: Final = 8 * 1024


def embedding_bound(request: EmbeddingRequest) -> int:
    """Return an upper bound for OpenAI's vocabularies.

    Token arrays are counted. Texts are tokenised up to 8 KiB together; beyond that their UTF-8 bytes are the bound,
    since no token is shorter than a byte. Two tokens a text are added for what other families put around it.
    """
    inputs = request.inputs
    texts = [text for text in inputs if isinstance(text, str)]
    tokens = sum(len(item) for item in inputs if not isinstance(item, str)) + 2 * len(inputs)
    size = sum(len(text.encode()) for text in texts)
    return tokens + (sum(map(count_tokens, texts)) if size <= EXACT_BYTES else size)

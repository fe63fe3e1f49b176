"""Token counting with OpenAI's public vocabulary, offline."""

import functools
from collections.abc import Sequence
from typing import Any, Final

import bpe_openai._bindings

ENCODING: Final = "o200k_base"


@functools.cache
def _encoding() -> bpe_openai.Encoding:
    return bpe_openai.get_encoding(ENCODING)


@functools.cache
def _counter() -> Any:
    return bpe_openai._bindings.tokenizer_for_encoding(ENCODING)  # noqa: SLF001  # the public way lists the tokens first


def token_texts(text: str) -> list[str]:
    """Split `text` into the texts of its tokens.

    A character that spans tokens stays whole, with the first of them, so the parts can be sent one by one.
    """
    encoding = _encoding()
    texts: list[str] = []
    pending = b""
    for token in encoding.encode_ordinary(text):
        pending += encoding.decode_single_token_bytes(token)
        try:
            texts.append(pending.decode())
        except UnicodeDecodeError:
            continue
        pending = b""
    return texts


def count_tokens(text: str) -> int:
    """Return how many tokens of `o200k_base` the text has."""
    try:
        count: int = _counter().count(text)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can write: it becomes U+FFFD
        count = _counter().count(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return count


def token_bytes(tokens: Sequence[int]) -> bytes:
    """Return the text, as UTF-8 bytes, that tokens of `o200k_base` stand for. Raises KeyError for an unknown token."""
    joined: bytes = _encoding().decode_bytes(list(tokens))
    return joined

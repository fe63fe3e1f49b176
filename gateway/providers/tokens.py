"""Token counting with OpenAI's public vocabulary, offline."""

import functools
from collections.abc import Sequence
from typing import Any, Final

import bpe_openai._bindings

from gateway.recent import Recent

ENCODING: Final = "o200k_base"
_LONG: Final = 4096
"""Characters from which a text is counted as a whole: its beginning brings the tables near for the rest."""
_LONG_WORD: Final = 64
"""Longer words are not kept: they hardly come again."""
_WORDS_KEPT: Final = 8192
_ANY_DIGIT: Final = bytes.maketrans(b"123456789", b"000000000")
_NO_WORD: Final = 1 << 32
"""Counted for what has white space at an end, or is nothing: the vocabulary has tokens for several spaces."""


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
    """Return how many tokens of `o200k_base` the text has.

    The vocabulary never joins what is no white space with a space behind it, so a text falls apart into words. What a
    word counts is kept: the vocabulary's tables are too large for the CPU to have them at hand from call to call. They
    have every number of up to three digits and join digits with nothing else, so that one digit counts as any other.
    """
    return measure(text)[1]


def measure(text: str) -> tuple[int, int, int]:
    """Return how many bytes of UTF-8 the text has, how many tokens, as `count_tokens` says, and how many digits."""
    data = text.encode("utf-8", "surrogatepass").translate(_ANY_DIGIT)
    count = _NO_WORD
    if len(text) <= _LONG:
        first, *others = data.split(b" ")
        count = _FIRST[first] + sum(map(_BEHIND_A_SPACE.__getitem__, others))
    return len(data), count if count < _NO_WORD else _counted(text), data.count(b"0")


def _counted(text: str) -> int:
    try:
        count: int = _counter().count(text)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can write: it becomes U+FFFD
        count = _counter().count(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return count


class _Words(Recent[bytes, int]):
    """The tokens of words in UTF-8, each with `before` in front of it."""

    def __init__(self, before: str) -> None:
        super().__init__(_WORDS_KEPT)
        self._before = before

    def __missing__(self, word: bytes) -> int:
        if (known := self.older.get(word)) is not None:
            return self.keep(word, known)
        text = word.decode("utf-8", "surrogatepass")
        count = _counted(self._before + text) if text and text == text.strip() else _NO_WORD
        return count if len(word) > _LONG_WORD else self.keep(word, count)


_FIRST: Final = _Words("")
_BEHIND_A_SPACE: Final = _Words(" ")


def token_bytes(tokens: Sequence[int]) -> bytes:
    """Return the text, as UTF-8 bytes, that tokens of `o200k_base` stand for. Raises KeyError for an unknown token."""
    joined: bytes = _encoding().decode_bytes(list(tokens))
    return joined

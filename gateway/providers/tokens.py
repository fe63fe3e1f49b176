"""Token counting with OpenAI's public vocabulary, offline."""

import importlib.util
import sys
from array import array
from collections.abc import Sequence
from importlib.machinery import PathFinder
from typing import Any, Final

from gateway.recent import Recent

ENCODING: Final = "o200k_base"
TOKENS: Final = 199_998
"""Of the vocabulary, without its two special ones."""
_LONG: Final = 4096
"""Characters from which a text is counted as a whole: its beginning brings the tables near for the rest."""
_LONG_WORD: Final = 64
"""Longer words are not kept: they hardly come again."""
_WORDS_KEPT: Final = 8192
_ANY_DIGIT: Final = bytes.maketrans(b"123456789", b"000000000")
_NO_WORD: Final = 1 << 32
"""Counted for what has white space at an end, or is nothing: the vocabulary has tokens for several spaces."""


def _tokenizer() -> Any:
    """Return bpe-openai's tokenizer, from the module that is its own.

    The package around it makes dictionaries of three whole vocabularies when it is imported, for nothing that is asked
    here: half a second, and 68 MiB in every process.
    """
    name = "bpe_openai._bindings"
    package = importlib.util.find_spec("bpe_openai")  # does not import it
    spec = PathFinder.find_spec(name, package.submodule_search_locations) if package is not None else None
    if spec is None or spec.loader is None:
        raise ImportError(f"there is no {name}")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.tokenizer_for_encoding(ENCODING)


_TOKENIZER: Final = _tokenizer()


def token_texts(text: str) -> list[str]:
    """Split `text` into the texts of its tokens.

    A character that spans tokens stays whole, with the first of them, so the parts can be sent one by one.
    """
    texts = []
    pending: list[int] = []
    for token in _TOKENIZER.encode(_whole(text)):
        pending.append(token)
        try:
            texts.append(_TOKENIZER.decode(pending))
        except ValueError:  # not yet a whole character
            continue
        pending = []
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
    # A text with an empty word is counted as a whole, as code is that is indented: looking up the others is in vain.
    if len(text) <= _LONG and b"  " not in data and not data.endswith(b" "):
        first, *others = data.split(b" ")
        count = _FIRST[first] + sum(map(_BEHIND_A_SPACE.__getitem__, others))
    return len(data), count if count < _NO_WORD else _counted(text), data.count(b"0")


def _counted(text: str) -> int:
    try:
        count: int = _TOKENIZER.count(text)
    except UnicodeEncodeError:
        count = _TOKENIZER.count(_whole(text))
    return count


def _whole(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair, which JSON can write and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


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
    """Return the text, in UTF-8, that tokens of `o200k_base` stand for. Raises KeyError for a token that is none.

    Tokens that begin or end within a character are no text; they give bytes that no text has.
    """
    for token in tokens:
        if not 0 <= token < TOKENS:
            raise KeyError(token)
    try:
        text: str = _TOKENIZER.decode(list(tokens))
    except ValueError:
        return b"\xff" + array("I", tokens).tobytes()
    return text.encode()

"""Counting word by word gives what the vocabulary gives for the whole text."""

from typing import Final

import bpe_openai
import pytest
from bpe_openai.registry import o200k_base
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.providers.tokens import ENCODING, TOKENS, count_tokens, token_bytes

_ENCODING: Final = bpe_openai.get_encoding(ENCODING)
_SPACES: Final = " \n\t\r\x0b\x0c\x1c\x85\xa0\u2003\u2028\u3000"
_PIECES: Final = st.sampled_from(
    [" ", "  ", "\n", " \n", "\n ", "\r\n", "a", "The", "end.", "don't", "12345", "({", "漢字", "🙂", "é"]
)


@settings(max_examples=2000, deadline=None, derandomize=True)
@given(st.text() | st.lists(_PIECES | st.sampled_from(_SPACES), max_size=20).map("".join))
def test_a_text_counts_what_its_tokens_are(text: str) -> None:
    """Whatever it is made of, white space of every kind in every place included."""
    assert count_tokens(text) == len(_ENCODING.encode_ordinary(text))


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(st.text("0123456789 .,-:/xé٣²५", max_size=40))
def test_numbers_count_what_their_tokens_are(text: str) -> None:
    """Whatever digits they have, of other scripts and beside other characters too."""
    assert count_tokens(text) == len(_ENCODING.encode_ordinary(text))


def test_one_digit_counts_as_any_other() -> None:
    """Every number of up to three digits is a token, and no other token has a digit."""
    with_digits = {token for token in _ENCODING.token_byte_values() if set(token) & set(b"0123456789")}

    assert with_digits == {b"%0*d" % (length, number) for length in (1, 2, 3) for number in range(10**length)}


@pytest.mark.parametrize("words", [1, 100, 2000])
def test_a_text_counts_the_same_again(words: int) -> None:
    """When its words are known, and when it is too long for that to matter."""
    text = " ".join(f"word{number} and" for number in range(words))

    assert count_tokens(text) == count_tokens(text) == len(_ENCODING.encode_ordinary(text))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.text())
def test_tokens_stand_for_their_text(text: str) -> None:
    """A token array and its text are the same input."""
    assert token_bytes(_ENCODING.encode_ordinary(text)) == text.encode("utf-8", "replace")


def test_tokens_of_a_cut_character_stand_for_no_text() -> None:
    """Who cuts a long text by its tokens can hit a character; each half is an input, unlike any text or other half."""
    first, second = _ENCODING.encode_ordinary("🤷")
    halves = {token_bytes([first]), token_bytes([second]), token_bytes([first, first])}

    assert len(halves) == 3
    for half in halves:
        with pytest.raises(UnicodeDecodeError):
            half.decode()


@pytest.mark.parametrize("token", [-1, TOKENS, 199_999, 200_018, 2**40])
def test_what_is_no_token_is_told(token: int) -> None:
    """The library itself would panic at some of them."""
    with pytest.raises(KeyError):
        token_bytes([token])


def test_the_vocabulary_is_known_whole() -> None:
    """From its first token to its last."""
    assert sorted(o200k_base()["mergeable_ranks"].values()) == list(range(TOKENS))

"""Editing a JSON object's bytes, and errors that name the field."""

import json
from typing import Any

import msgspec
import pytest

from gateway.errors import InvalidRequest, MalformedJson
from gateway.wire.chat import parse_chat_request
from gateway.wire.parse import parse, replace_fields


def test_other_values_keep_their_bytes() -> None:
    """Numbers, escapes and order are the caller's."""
    body = b'{"a":1.0,"b":{"z":1,"y":2},"c":"\\u00fc","d":12345678901234567890123}'

    assert replace_fields(body, {"a": "new", "e": [1]}) == (
        b'{"a":"new","b":{"z":1,"y":2},"c":"\\u00fc","d":12345678901234567890123,"e":[1]}'
    )


def test_fields_are_dropped() -> None:
    """Also one that is not there."""
    assert replace_fields(b'{"a":1,"b":2}', {}, drop=("a", "x")) == b'{"b":2}'


class _Numbers(msgspec.Struct):
    kind: Any = None
    list_of: list[list[int]] = []
    either: int | str = 0


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        (
            b'{"list_of":[[1],[2,"x"]]}',
            "list_of[1][1]",
            "Invalid type for 'list_of[1][1]': expected integer, got string.",
        ),
        (b'{"either":true}', "either", "Invalid type for 'either': expected integer or string, got boolean."),
        (b"[]", None, "Invalid type for the request body: expected object, got array."),
    ],
)
def test_a_wrong_type_is_told_in_json_s_words(body: bytes, param: str | None, message: str) -> None:
    """Path, expected and found."""
    with pytest.raises(InvalidRequest) as caught:
        parse(body, msgspec.json.Decoder(_Numbers))

    assert (caught.value.param, caught.value.message) == (param, message)


def test_invalid_utf8_is_placed() -> None:
    """The message says at which byte."""
    with pytest.raises(MalformedJson, match="at byte 2"):
        parse_chat_request(b'{"\xff"}')


def test_an_unknown_field_comes_with_the_request() -> None:
    """So that a target which forwards unknown fields can be asked."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "a"}], "top_k": 5}).encode()
    request, unknown = parse_chat_request(body)

    assert request.model == "m"
    assert unknown is not None
    assert unknown.param == "top_k"


def test_an_unknown_field_does_not_hide_a_wrong_one() -> None:
    """A request with both is refused for the wrong one at once."""
    body = json.dumps({"top_k": 5, "model": "m", "messages": []}).encode()
    with pytest.raises(InvalidRequest) as caught:
        parse_chat_request(body)

    assert caught.value.param == "messages"

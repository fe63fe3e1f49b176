"""The example value of a JSON schema."""

import json
from typing import Any

import pytest

from gateway.providers.schema_example import example

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
}
CASES: list[tuple[Any, Any]] = [
    ({"type": "string"}, "text"),
    ({"type": "string", "minLength": 6}, "textxx"),
    ({"type": "integer"}, 1),
    ({"type": "integer", "minimum": 5}, 5),
    ({"type": "integer", "exclusiveMinimum": 5}, 6),
    ({"type": "number"}, 1.0),
    ({"type": "number", "minimum": 0.5}, 0.5),
    ({"type": "boolean"}, True),
    ({"type": "null"}, None),
    ({"const": 7}, 7),
    ({"enum": ["b", "a"]}, "b"),
    ({"default": "d", "type": "string"}, "d"),
    ({"type": ["string", "null"]}, "text"),
    ({"type": []}, None),
    ({}, "text"),
    ({"properties": {"a": {"type": "null"}}}, {"a": None}),
    ({"type": "object"}, {}),
    ({"type": "array", "items": {"type": "integer"}}, [1]),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 1, 1]),
    ({"type": "array", "minItems": 0}, []),
    ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}]}, [1, 2]),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
    ({"oneOf": [{"const": "x"}]}, "x"),
    ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, {"a": 1, "b": 2}),
    ({"allOf": [{"type": "string"}]}, "text"),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 3}}}, 3),
    ({"$ref": "#/nowhere"}, None),
    (True, None),
    ("text", None),
]


@pytest.mark.parametrize(("schema", "value"), CASES, ids=[str(schema)[:40] for schema, _ in CASES])
def test_a_schema_has_its_example(schema: Any, value: Any) -> None:
    """The smallest value, the same each time."""
    assert example(schema) == value


def test_properties_keep_the_schema_s_order() -> None:
    """As structured output does."""
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}

    assert list(example(schema)) == ["b", "a"]


def test_a_schema_that_contains_itself_ends() -> None:
    """At a fixed depth."""
    node, depth = example(TREE), 0
    while node is not None:
        node, depth = node["next"], depth + 1

    assert 1 < depth < 50


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": "x"},
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        {"type": "object", "properties": []},
        {"type": "array", "prefixItems": 5},
        {"type": "integer", "minimum": "x"},
        {"type": "integer", "minimum": 1e999},
        {"allOf": 5},
        {"anyOf": 5},
        {"enum": 5},
        {"type": {"a": 1}},
        {"$ref": 5},
        {"type": "integer", "minimum": -(10**400)},
        {"type": "array", "minItems": 1000, "items": {"type": "array", "minItems": 1000}},
    ],
    ids=str,
)
def test_a_broken_schema_neither_fails_nor_grows(schema: Any) -> None:
    """A schema is the caller's text: an odd one must not become an internal error or fill the memory."""
    assert len(json.dumps(example(schema))) < 100_000


def test_a_schema_that_doubles_with_every_level_stays_small() -> None:
    """Thirty levels of two references each would be a thousand million values."""
    node = {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}}

    assert len(json.dumps(example(node))) < 1_000_000

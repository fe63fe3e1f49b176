"""The smallest value that a JSON schema accepts, always the same one: what the built-in provider answers with."""

from typing import Any, Final

_DEPTH_LIMIT: Final = 32
_SIZE_LIMIT: Final = 1024
"""Most items of an array and characters of a text, whatever a schema demands."""
_TOTAL_LIMIT: Final = 10_000
"""Most values and demanded characters of one example: nested arrays multiply, and a schema that refers to itself twice
doubles with every level."""


def example(schema: Any) -> Any:
    """Return a value for `schema`, which may be anything: it is the caller's text.

    Every property is filled, in the schema's order; optional ones are too. Understood are `const`, `enum`, `default`,
    `type` (also as a list), `properties`, `required`, `items`, `prefixItems`, `minItems`, `minimum`,
    `exclusiveMinimum`, `minLength`, `anyOf`, `oneOf`, `allOf` and local `$ref`. What is not understood, or too deep or
    large, becomes null.
    """
    return _Example(schema).of(schema, 0)


class _Example:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._total = 0

    def of(self, schema: Any, depth: int) -> Any:
        self._total += 1
        if not isinstance(schema, dict) or depth > _DEPTH_LIMIT or self._total > _TOTAL_LIMIT:
            return None
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if options := _list(schema.get("enum")):
            return options[0]
        if "$ref" in schema:
            return self.of(_resolve(str(schema["$ref"]), self._root), depth + 1)
        for key in ("anyOf", "oneOf"):
            if options := _list(schema.get(key)):
                return self.of(options[0], depth + 1)
        if parts := _list(schema.get("allOf")):
            return self._merged(parts, depth)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = kind[0] if kind else "null"
        return self._of_type(kind, schema, depth)

    def _merged(self, parts: list[Any], depth: int) -> Any:
        merged: dict[str, Any] = {}
        for part in parts:
            value = self.of(part, depth + 1)
            if not isinstance(value, dict):
                return value
            merged.update(value)
        return merged

    def _of_type(self, kind: Any, schema: dict[str, Any], depth: int) -> Any:
        match kind:
            case "object":
                properties = schema.get("properties")
                if not isinstance(properties, dict):
                    return {}
                return {name: self.of(part, depth + 1) for name, part in properties.items()}
            case "array":
                items = [self.of(part, depth + 1) for part in _list(schema.get("prefixItems"))]
                while len(items) < _size(schema, "minItems", 1) and self._total <= _TOTAL_LIMIT:
                    items.append(self.of(schema.get("items", {"type": "string"}), depth + 1))
                return items
            case "integer":
                return int(_lowest(schema))
            case "number":
                return float(_lowest(schema))
            case "boolean":
                return True
            case "null":
                return None
            case _:
                length = _size(schema, "minLength", 0)
                self._total += length
                return "text".ljust(length, "x")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> float | None:
    """Return a JSON number that fits a double; a larger one is as good as none."""
    return value if isinstance(value, int | float) and abs(value) < 1e300 else None


def _size(schema: dict[str, Any], key: str, default: int) -> int:
    size = _number(schema.get(key))
    return default if size is None else min(max(int(size), 0), _SIZE_LIMIT)


def _lowest(schema: dict[str, Any]) -> float:
    lowest, above = _number(schema.get("minimum")), _number(schema.get("exclusiveMinimum"))
    if lowest is not None:
        return lowest
    return 1 if above is None else above + 1


def _resolve(pointer: str, root: Any) -> Any:
    node = root
    for part in pointer.removeprefix("#").strip("/").split("/"):
        if part and isinstance(node, dict):
            node = node.get(part.replace("~1", "/").replace("~0", "~"))
    return node

"""The smallest value that a JSON schema accepts, always the same one: what the built-in provider answers with."""

from typing import Any

_DEPTH_LIMIT = 32


def example(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """Return a value for `schema`.

    Every property is filled, in the schema's order; optional ones are too. Understood are `const`, `enum`, `default`,
    `type` (also as a list), `properties`, `required`, `items`, `prefixItems`, `minItems`, `minimum`,
    `exclusiveMinimum`, `minLength`, `anyOf`, `oneOf`, `allOf` and local `$ref`.
    """
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > _DEPTH_LIMIT:
        return None
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    if "$ref" in schema:
        return example(_resolve(str(schema["$ref"]), root), root, depth + 1)
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return example(schema[key][0], root, depth + 1)
    if schema.get("allOf"):
        merged: dict[str, Any] = {}
        for part in schema["allOf"]:
            value = example(part, root, depth + 1)
            if not isinstance(value, dict):
                return value
            merged.update(value)
        return merged
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0] if kind else "null"
    return _of_type(kind, schema, root, depth)


def _of_type(kind: str, schema: dict[str, Any], root: Any, depth: int) -> Any:
    match kind:
        case "object":
            return {name: example(part, root, depth + 1) for name, part in schema.get("properties", {}).items()}
        case "array":
            fixed = [example(part, root, depth + 1) for part in schema.get("prefixItems", [])]
            missing = max(schema.get("minItems", 1) - len(fixed), 0)
            return fixed + [example(schema.get("items", {"type": "string"}), root, depth + 1)] * missing
        case "integer":
            return int(_lowest(schema))
        case "number":
            return float(_lowest(schema))
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "text".ljust(schema.get("minLength", 0), "x")


def _lowest(schema: dict[str, Any]) -> float:
    if "minimum" in schema:
        return schema["minimum"]  # type: ignore[no-any-return]  # a JSON number
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + 1  # type: ignore[no-any-return]  # a JSON number
    return 1


def _resolve(pointer: str, root: Any) -> Any:
    node = root
    for part in pointer.removeprefix("#").strip("/").split("/"):
        if part and isinstance(node, dict):
            node = node.get(part.replace("~1", "/").replace("~0", "~"))
    return node

"""JSON schemas that Gemini refuses, found before it does, so that the caller learns where.

Source: the Generative Language API, `GenerationConfig.responseJsonSchema`: references are local, and beside `$ref`
stands nothing but `$` keys, `description` and `default`. Other keywords that it does not know are its own to judge.
"""

from typing import Any, Final

import msgspec

from gateway.errors import InvalidRequest

MAX_DEPTH: Final = 100
"""How deep protobuf's parsers, which read the schema there, go into JSON."""

_BESIDE_REF: Final = {"description", "default"}
_ONE: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS: Final = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")


def require_schema(text: bytes, path: str) -> None:
    """Refuse what Gemini cannot take as a schema. Raises InvalidRequest; `param` is the exact place."""
    try:
        root = msgspec.json.decode(text)
        if not isinstance(root, dict):
            raise InvalidRequest(
                f"Invalid type for '{path}': expected an object, a JSON schema.", param=path, code="invalid_type"
            )
    except RecursionError:
        raise _too_deep(path) from None
    _require(root, root, path)


def _too_deep(path: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for '{path}': the schema is nested too deeply.", param=path)


def _require(node: Any, root: dict[str, Any], path: str, depth: int = 0) -> None:
    if not isinstance(node, dict):
        return
    if depth > MAX_DEPTH:
        raise _too_deep(path)
    if "$ref" in node:
        _require_reference(node, root, path)
    for key in _ONE:
        if key in node:
            _require(node[key], root, f"{path}.{key}", depth + 1)
    for key in _LISTS:
        if isinstance(node.get(key), list):
            for at, child in enumerate(node[key]):
                _require(child, root, f"{path}.{key}[{at}]", depth + 1)
    for key in _MAPS:
        if isinstance(node.get(key), dict):
            for name, child in node[key].items():
                _require(child, root, f"{path}.{key}.{name}", depth + 1)


def _require_reference(node: dict[str, Any], root: dict[str, Any], path: str) -> None:
    reference = node["$ref"]
    if not isinstance(reference, str) or not _resolves(reference, root):
        raise InvalidRequest(
            f"Invalid value for '{path}.$ref': Gemini takes references to a place in the same schema only.",
            param=f"{path}.$ref",
        )
    beside = [key for key in node if not key.startswith("$") and key not in _BESIDE_REF]
    if beside:
        where = f"{path}.{beside[0]}"
        raise InvalidRequest(
            f"Invalid value for '{where}': Gemini takes only a description and a default beside '$ref'.", param=where
        )


def _resolves(reference: str, root: dict[str, Any]) -> bool:
    if not reference.startswith("#"):
        return False
    node: Any = root
    for part in reference[1:].removeprefix("/").split("/"):
        if not part:
            continue
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        elif isinstance(node, dict) and key in node:
            node = node[key]
        else:
            return False
    return True

"""Tools and the choice of them as Gemini's `tools` and `toolConfig`.

Source: the Generative Language API, `FunctionDeclaration` and `FunctionCallingConfig`.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.errors import InvalidRequest
from gateway.providers.gemini.schemas import require_schema
from gateway.providers.parameters import Parameters
from gateway.wire.chat import AllowedToolChoice, ChatRequest, Function, FunctionTool, NamedFunction, ToolChoice


def tool_fields(request: ChatRequest, parameters: Parameters) -> dict[str, Any]:
    """Return the fields of the request's top level that tools make; none without tools. Raises InvalidRequest."""
    functions = _functions(request, parameters)
    config = _calling_config(request.tool_choice, functions, parameters)
    if not functions:
        return {}
    fields: dict[str, Any] = {"tools": [{"functionDeclarations": [_declaration(one, at) for one, at in functions]}]}
    if config is not None:
        fields["toolConfig"] = {"functionCallingConfig": config}
    return fields


_Functions = list[tuple[Function, str]]


def _functions(request: ChatRequest, parameters: Parameters) -> _Functions:
    """Return the functions, each with its path."""
    functions: _Functions = []
    names: set[str] = set()
    if isinstance(request.tools, UnsetType):
        return functions
    for at, tool in enumerate(request.tools):
        if not isinstance(tool, FunctionTool):
            parameters.unsupported(f"tools[{at}].type", "custom")
            continue
        path = f"tools[{at}].function"
        if tool.function.name in names:
            raise InvalidRequest(
                f"Invalid value for '{path}.name': another tool has the name '{tool.function.name}'.",
                param=f"{path}.name",
            )
        names.add(tool.function.name)
        functions.append((tool.function, path))
    return functions


def _declaration(function: Function, path: str) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": function.name}
    if function.description:
        declaration["description"] = function.description
    if function.parameters:
        schema = msgspec.json.encode(function.parameters)
        require_schema(schema, f"{path}.parameters")
        declaration["parametersJsonSchema"] = Raw(schema)
    return declaration


def _calling_config(
    choice: ToolChoice | UnsetType, functions: _Functions, parameters: Parameters
) -> dict[str, Any] | None:
    names = [function.name for function, _ in functions]
    strict = any(function.strict for function, _ in functions)
    match choice:
        case UnsetType() | "auto":
            # VALIDATED is AUTO with calls that keep to their schema: what `strict` asks for.
            mode = "VALIDATED" if strict else "AUTO"
            return None if choice is UNSET and not strict else {"mode": mode}
        case "none":
            return {"mode": "NONE"}
        case "required":
            _require_known(names, names, "tool_choice")
            return {"mode": "ANY"}
        case NamedFunction():
            _require_known([choice.function.name], names, "tool_choice.function.name")
            return {"mode": "ANY", "allowedFunctionNames": [choice.function.name]}
        case AllowedToolChoice(allowed_tools=allowed):
            wanted = [
                _allowed_name(tool, f"tool_choice.allowed_tools.tools[{at}]") for at, tool in enumerate(allowed.tools)
            ]
            _require_known(wanted, names, "tool_choice.allowed_tools.tools")
            mode = {"auto": "VALIDATED", "required": "ANY"}.get(allowed.mode, "")
            if not mode:
                raise _unknown(allowed.mode, "tool_choice.allowed_tools.mode")
            return {"mode": mode, "allowedFunctionNames": wanted}
        case str():
            raise _unknown(choice, "tool_choice")
        case _:
            parameters.unsupported("tool_choice.type", "custom")
            return None


class _Name(Struct):
    name: str


class _Allowed(Struct):
    function: _Name


_ALLOWED: Final = msgspec.json.Decoder(_Allowed)


def _allowed_name(tool: Raw, path: str) -> str:
    try:
        return _ALLOWED.decode(tool).function.name
    except msgspec.ValidationError:
        raise InvalidRequest(f"Invalid value for '{path}': expected a function with its name.", param=path) from None


def _require_known(wanted: list[str], names: list[str], path: str) -> None:
    """Refuse a choice of no tool, or of one that the request does not have."""
    missing = [name for name in wanted if name not in names]
    if missing or not wanted:
        what = f"no tool has the name '{missing[0]}'" if missing else "there are no tools"
        raise InvalidRequest(f"Invalid value for '{path}': {what}.", param=path)


def _unknown(value: str, path: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for '{path}': '{value}' is not known.", param=path)

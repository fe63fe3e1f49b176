"""Sampling, output form and thinking as Gemini's `generationConfig`.

Source: the Generative Language API, `GenerationConfig` and `ThinkingConfig`; the amounts of thinking are those of
Google's own OpenAI-compatible API.
"""

import re
from typing import Any, Final

import msgspec
from msgspec import Raw, UnsetType

from gateway.errors import InvalidRequest
from gateway.providers.gemini.options import ThinkingOptions
from gateway.providers.gemini.schemas import require_schema
from gateway.providers.parameters import Parameters
from gateway.wire.chat import ChatRequest, JsonObjectFormat, JsonSchema, JsonSchemaFormat

_INT32: Final = range(-(2**31), 2**31)

_SAME: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_RESOLUTIONS: Final = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}

_BUDGETS: Final = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 24576,
    "max": 24576,
}
_LEVELS: Final = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
_GENERATION: Final = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_NEWEST: Final = (1000, 0)


def generation(model: str) -> tuple[int, int]:
    """Return the generation of a Gemini model, (2, 5) for one; a name without a number is of the newest."""
    match = _GENERATION.search(model)
    return (int(match[1]), int(match[2] or 0)) if match else _NEWEST


def generation_config(
    request: ChatRequest,
    model: str,
    parameters: Parameters,
    *,
    default_cap: int | None,
    details: set[str | None],
    thinking: ThinkingOptions | None,
) -> dict[str, Any]:
    """Return `generationConfig`, with what the caller set and no more.

    `default_cap` bounds the output when the caller does not; `details` are what the images ask for. Raises
    InvalidRequest.
    """
    config: dict[str, Any] = {}
    for name, field in _SAME.items():
        value = getattr(request, name)
        if value is not None:
            config[field] = value
    if request.seed is not None:
        if request.seed not in _INT32:
            raise InvalidRequest("Invalid value for 'seed': Gemini takes 32-bit integers.", param="seed")
        config["seed"] = request.seed
    if request.n is not None and request.n > 1:
        config["candidateCount"] = request.n
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    if stops := [stop for stop in stops if stop]:
        config["stopSequences"] = stops
    cap = request.output_cap or default_cap
    if cap is not None:
        config["maxOutputTokens"] = cap
    if request.logprobs:
        config["responseLogprobs"] = True
        if request.top_logprobs:
            config["logprobs"] = request.top_logprobs
    elif request.top_logprobs:
        raise InvalidRequest("Invalid value for 'top_logprobs': it needs 'logprobs'.", param="top_logprobs")
    if len(details) == 1 and (resolution := _RESOLUTIONS.get(next(iter(details)) or "")):
        config["mediaResolution"] = resolution
    config |= _form(request)
    thinking_config = _thinking(request, model, parameters, thinking)
    if thinking_config:
        config["thinkingConfig"] = thinking_config
    return config


def _form(request: ChatRequest) -> dict[str, Any]:
    match request.response_format:
        case JsonObjectFormat():
            return {"responseMimeType": "application/json"}
        case JsonSchemaFormat(json_schema=schema):
            form: dict[str, Any] = {"responseMimeType": "application/json"}
            if not isinstance(schema.schema, UnsetType):
                form["responseJsonSchema"] = _schema(schema, schema.schema)
            return form
    return {}


_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])


def _schema(named: JsonSchema, schema: Raw) -> Raw:
    """Return the schema; what it is for, which Gemini has no field for, becomes its description if it has none."""
    text = bytes(schema)
    require_schema(text, "response_format.json_schema.schema")
    if named.description and "description" not in (fields := _OBJECT.decode(text)) and "$ref" not in fields:
        return Raw(msgspec.json.encode({**fields, "description": named.description}))
    return Raw(text)


def _thinking(
    request: ChatRequest, model: str, parameters: Parameters, asked: ThinkingOptions | None
) -> dict[str, Any]:
    effort = request.reasoning_effort
    if asked is not None:
        if effort is not None:
            raise InvalidRequest(
                "Invalid value for 'reasoning_effort': it cannot stand beside 'google.thinking_config'.",
                param="reasoning_effort",
            )
        return asked.config()
    if effort is None:
        return {}
    if effort not in _BUDGETS:
        raise InvalidRequest(
            f"Invalid value for 'reasoning_effort': '{effort}' is not known.", param="reasoning_effort"
        )
    level = _LEVELS.get(effort)
    match generation(model):
        case (2, 5):
            budget = {"thinkingBudget": _BUDGETS[effort]}
            return budget if level is None else {**budget, "includeThoughts": True}
        case before if before < (2, 5):
            if level is not None:
                parameters.unsupported("reasoning_effort", effort)
            return {}
        case _:
            if level is None:
                parameters.unsupported("reasoning_effort", effort)
                return {}
            if level == "MINIMAL" and "-pro" in model:
                level = "LOW"
            return {"thinkingLevel": level, "includeThoughts": True}

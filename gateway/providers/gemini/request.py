"""A chat request as the body of `generateContent`.

Source: the Generative Language API, `v1beta`, `GenerateContentRequest`.
"""

from typing import Any, Final

import msgspec
from msgspec import UnsetType
from yarl import URL

from gateway.config import ProviderSettings
from gateway.providers.base import ChatCall
from gateway.providers.gemini.contents import conversation
from gateway.providers.gemini.generation import generation, generation_config
from gateway.providers.gemini.options import google_options
from gateway.providers.gemini.tools import tool_fields
from gateway.providers.parameters import Parameters, forwarded_fields

KNOWN_PARAMETERS: Final = frozenset(
    {
        "temperature",
        "top_p",
        "frequency_penalty",
        "presence_penalty",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "seed",
        "stop",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
        "response_format",
        "tools",
        "tool_choice",
        "store",
        "service_tier",
    }
)
"""The parameters of OpenAI's that Gemini can be told."""

_TIERS: Final = {"default": "standard", "flex": "flex", "priority": "priority"}
_SIGNED_SINCE: Final = (3, 0)
"""The generation that refuses calls without their thought signature."""


def generate_body(call: ChatCall, settings: ProviderSettings, parameters: Parameters, base_url: URL) -> bytes:
    """Return the body. Raises InvalidRequest, with the exact path in `param`."""
    request = call.request
    parameters.check(request)
    options = google_options(request, call.body)
    forwarded = forwarded_fields(request, call.body, settings)
    needs_signatures = generation(call.model) >= _SIGNED_SINCE
    talk = conversation(request.messages, parameters, base_url, needs_signatures=needs_signatures)
    body: dict[str, Any] = {"contents": talk.contents}
    if talk.system:
        body["systemInstruction"] = {"parts": talk.system}
    body |= tool_fields(request, parameters)
    config = generation_config(
        request,
        call.model,
        parameters,
        default_cap=settings.max_output_tokens,
        details=talk.details,
        thinking=options.thinking_config,
    )
    if config:
        body["generationConfig"] = config
    if options.cached_content is not None:
        body["cachedContent"] = options.cached_content
    if not isinstance(options.safety_settings, UnsetType):
        body["safetySettings"] = options.safety_settings
    if request.store is not None:
        body["store"] = request.store
    if request.service_tier not in {None, "auto"}:
        tier = _TIERS.get(request.service_tier or "")
        if tier is None:
            parameters.unsupported("service_tier", request.service_tier)
        else:
            body["serviceTier"] = tier
    return msgspec.json.encode({**body, **forwarded})

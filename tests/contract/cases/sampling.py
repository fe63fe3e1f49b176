"""Parameters that steer sampling and length, and those that only some vendors have."""

from typing import Any

from tests.contract.case import Answer, Case, Choice, Column, Json, Refused, Sends, counted


def _both(name: str, feature: str, fields: Json, options: Json, config: Json, **more: Any) -> Case:
    """A parameter that all have: in `options` at Ollama, in `generationConfig` at Gemini."""
    ollama: Column = Sends({"options": options}) if options else Sends()
    gemini: Column = Sends({"generationConfig": config}) if config else Sends()
    return Case(name, feature, fields, **{"ollama": ollama, "gemini": gemini, **more})


def _only_openai(name: str, feature: str, fields: Json, param: str | None = None) -> Case:
    """A parameter that the others refuse."""
    refused = Refused(param or next(iter(fields)))
    return Case(name, feature, fields, cerebras=refused, ollama=refused, gemini=refused)


def _openai_and_cerebras(name: str, feature: str, fields: Json) -> Case:
    refused = Refused(next(iter(fields)))
    return Case(name, feature, fields, ollama=refused, gemini=refused)


SAMPLING = [
    _both("temperature-zero", "sampling", {"temperature": 0}, {"temperature": 0}, {"temperature": 0}),
    _both("temperature", "sampling", {"temperature": 0.7}, {"temperature": 0.7}, {"temperature": 0.7}),
    _both("temperature-two", "sampling", {"temperature": 2}, {"temperature": 2}, {"temperature": 2}),
    _both("top_p-zero", "sampling", {"top_p": 0}, {"top_p": 0}, {"topP": 0}),
    _both("top_p", "sampling", {"top_p": 0.25}, {"top_p": 0.25}, {"topP": 0.25}),
    _both("top_p-one", "sampling", {"top_p": 1}, {"top_p": 1}, {"topP": 1}),
    _both(
        "frequency_penalty",
        "sampling",
        {"frequency_penalty": 1.5},
        {"frequency_penalty": 1.5},
        {"frequencyPenalty": 1.5},
    ),
    _both(
        "frequency_penalty-least",
        "sampling",
        {"frequency_penalty": -2},
        {"frequency_penalty": -2},
        {"frequencyPenalty": -2},
    ),
    _both(
        "presence_penalty", "sampling", {"presence_penalty": 0.5}, {"presence_penalty": 0.5}, {"presencePenalty": 0.5}
    ),
    _both(
        "presence_penalty-zero", "sampling", {"presence_penalty": 0}, {"presence_penalty": 0}, {"presencePenalty": 0}
    ),
    _both("seed", "sampling", {"seed": 42}, {"seed": 42}, {"seed": 42}),
    _both("seed-zero", "sampling", {"seed": 0}, {"seed": 0}, {"seed": 0}),
    _both("seed-negative", "sampling", {"seed": -1}, {"seed": -1}, {"seed": -1}),
    Case(
        "seed-of-64-bits",
        "seeds of 64 bits",
        {"seed": 2**63 - 1},
        ollama=Sends({"options": {"seed": 2**63 - 1}}),
        gemini=Refused("seed", "invalid_value"),
    ),
    _both(
        "several",
        "sampling",
        {"temperature": 0.1, "top_p": 0.9, "seed": 1, "max_tokens": 8, "stop": ["x"]},
        {"temperature": 0.1, "top_p": 0.9, "seed": 1, "num_predict": 8, "stop": ["x"]},
        {"temperature": 0.1, "topP": 0.9, "seed": 1, "maxOutputTokens": 8, "stopSequences": ["x"]},
    ),
    Case(
        "logit_bias",
        "logit_bias",
        {"logit_bias": {"50256": -100}},
        ollama=Refused("logit_bias"),
        gemini=Refused("logit_bias"),
    ),
]

CUT = Answer((Choice("cut of", finish="length"),))
LENGTH = [
    _both("max_tokens", "length", {"max_tokens": 9}, {"num_predict": 9}, {"maxOutputTokens": 9}),
    _both(
        "max_completion_tokens",
        "length",
        {"max_completion_tokens": 9},
        {"num_predict": 9},
        {"maxOutputTokens": 9},
    ),
    _both(
        "max_tokens-of-both-kinds",
        "length",
        {"max_tokens": 5, "max_completion_tokens": 9},
        {"num_predict": 9},
        {"maxOutputTokens": 9},
    ),
    _both(
        "length-stop",
        "length",
        {"max_tokens": 2},
        {"num_predict": 2},
        {"maxOutputTokens": 2},
        answer=CUT,
    ),
    Case(
        "length-stop-of-the-built-in",
        "length",
        {"messages": [{"role": "user", "content": "one two three"}], "max_tokens": 2},
        openai=None,
        cerebras=None,
        custom=counted("one two", 9, 2, "length"),
    ),
    _both("stop-text", "stop", {"stop": "END"}, {"stop": ["END"]}, {"stopSequences": ["END"]}),
    _both("stop-list", "stop", {"stop": ["a", "b"]}, {"stop": ["a", "b"]}, {"stopSequences": ["a", "b"]}),
    _both(
        "stop-four",
        "stop",
        {"stop": ["a", "b", "c", "\n"]},
        {"stop": ["a", "b", "c", "\n"]},
        {"stopSequences": ["a", "b", "c", "\n"]},
    ),
    _both("stop-unicode", "stop", {"stop": "。"}, {"stop": ["。"]}, {"stopSequences": ["。"]}),
    Case(
        "stop-of-the-built-in",
        "stop",
        {"messages": [{"role": "user", "content": "one two three"}], "stop": " three"},
        openai=None,
        cerebras=None,
        custom=counted("one two", 9, 2),
    ),
]

TWO = Answer((Choice("first"), Choice("second")), usage=(5, 4))
THREE = Answer((Choice("a"), Choice("bc", finish="length"), Choice("")), usage=(5, 6))
CHOICES = [
    Case("n-one", "several choices", {"n": 1}, ollama=Sends(), gemini=Sends(), custom=counted("hi", 7, 1)),
    Case(
        "n-two",
        "several choices",
        {"n": 2},
        TWO,
        ollama=Refused("n"),
        gemini=Sends({"generationConfig": {"candidateCount": 2}}),
        custom=Answer((Choice("hi"), Choice("hi")), usage=(7, 2)),
    ),
    Case(
        "n-three-with-different-ends",
        "several choices",
        {"n": 3},
        THREE,
        ollama=Refused("n"),
        gemini=Sends({"generationConfig": {"candidateCount": 3}}),
    ),
]


def _token(token: str, logprob: float, *tops: tuple[str, float]) -> Json:
    top = [{"token": word, "logprob": chance, "bytes": list(word.encode())} for word, chance in tops]
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": top}


def _chances(*tokens: Json) -> Answer:
    return Answer((Choice("".join(token["token"] for token in tokens), logprobs=tokens),))


LOGPROBS = [
    Case(
        "logprobs",
        "logprobs",
        {"logprobs": True},
        _chances(_token("h", -0.5), _token("i", -0.25)),
        ollama=Sends({"logprobs": True}),
        gemini=Sends({"generationConfig": {"responseLogprobs": True}}),
        custom=Answer((Choice("hi", logprobs=(_token("hi", 0.0),)),), usage=(7, 1)),
    ),
    Case(
        "top_logprobs",
        "logprobs",
        {"logprobs": True, "top_logprobs": 2},
        _chances(_token("h", -0.5, ("h", -0.5), ("H", -1.5)), _token("i", -0.25, ("i", -0.25), ("é", -3.0))),
        ollama=Sends({"logprobs": True, "top_logprobs": 2}),
        gemini=Sends({"generationConfig": {"responseLogprobs": True, "logprobs": 2}}),
    ),
    Case(
        "logprobs-off",
        "logprobs",
        {"logprobs": False},
        ollama=Sends(),
        gemini=Sends(),
        custom=counted("hi", 7, 1),
    ),
]

EFFORTS: dict[str, tuple[str, bool | str, Json]] = {
    "none": ("none", False, {"thinkingBudget": 0}),
    "minimal": ("low", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
    "low": ("low", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
    "medium": ("medium", "medium", {"thinkingBudget": 8192, "includeThoughts": True}),
    "high": ("high", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
    "xhigh": ("high", "max", {"thinkingBudget": 24576, "includeThoughts": True}),
    "max": ("high", "max", {"thinkingBudget": 24576, "includeThoughts": True}),
}
THOUGHT = Answer((Choice("42", reasoning="It is known."),), usage=(5, 9), thought=7)
LONG_THOUGHT = Answer((Choice("so", reasoning="step 1\nstep 2 ✓ " * 20),), usage=(5, 99), thought=97, shred=True)
REASONING = [
    *(
        Case(
            f"effort-{effort}",
            "reasoning",
            {"reasoning_effort": effort},
            cerebras=Sends({"reasoning_effort": cerebras}),
            ollama=Sends({"think": think}),
            gemini=Sends({"generationConfig": {"thinkingConfig": thinking}}),
        )
        for effort, (cerebras, think, thinking) in EFFORTS.items()
    ),
    Case("thoughts", "reasoning", answer=THOUGHT, ollama=None, gemini=Sends()),
    Case(
        "thoughts-without-a-count",
        "reasoning",
        answer=Answer((Choice("42", reasoning="Hm."),)),
        ollama=Sends(),
        gemini=Sends(),
    ),
    Case("thoughts-shredded", "reasoning", answer=LONG_THOUGHT, gemini=Sends()),
    Case(
        "thoughts-without-text",
        "reasoning",
        answer=Answer((Choice("", reasoning="too long", finish="length"),)),
        ollama=Sends(),
        gemini=Sends(),
    ),
]

OTHER = [
    Case("user", "user", {"user": "u-1"}, ollama=Refused("user"), gemini=Refused("user")),
    _only_openai("safety_identifier", "safety_identifier", {"safety_identifier": "s-1"}),
    _openai_and_cerebras("prompt_cache_key", "prompt caching", {"prompt_cache_key": "k"}),
    _only_openai("prompt_cache_retention", "prompt caching", {"prompt_cache_retention": "24h"}),
    _only_openai(
        "prompt_cache_options", "prompt caching", {"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}}
    ),
    _only_openai("metadata", "metadata", {"metadata": {"someKey": "v", "Other-Key": "ü"}}),
    Case(
        "store",
        "store",
        {"store": True},
        cerebras=Refused("store"),
        ollama=Refused("store"),
        gemini=Sends({"store": True}),
    ),
    Case(
        "store-off",
        "store",
        {"store": False},
        ollama=Sends(),
        gemini=Sends({"store": False}),
        custom=counted("hi", 7, 1),
    ),
    Case("service_tier-auto", "service tiers", {"service_tier": "auto"}, ollama=Sends(), gemini=Sends()),
    Case(
        "service_tier-default",
        "service tiers",
        {"service_tier": "default"},
        ollama=Sends(),
        gemini=Sends({"serviceTier": "standard"}),
    ),
    Case(
        "service_tier-flex",
        "service tiers",
        {"service_tier": "flex"},
        ollama=Refused("service_tier"),
        gemini=Sends({"serviceTier": "flex"}),
    ),
    Case(
        "service_tier-priority",
        "service tiers",
        {"service_tier": "priority"},
        ollama=Refused("service_tier"),
        gemini=Sends({"serviceTier": "priority"}),
    ),
    _only_openai("verbosity", "verbosity", {"verbosity": "low"}),
    _openai_and_cerebras("prediction", "predicted output", {"prediction": {"type": "content", "content": "the same"}}),
    _openai_and_cerebras(
        "prediction-parts",
        "predicted output",
        {"prediction": {"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}},
    ),
    _only_openai("web_search", "web search", {"web_search_options": {"search_context_size": "low"}}),
    _only_openai(
        "web_search-near",
        "web search",
        {
            "web_search_options": {
                "user_location": {"type": "approximate", "approximate": {"country": "NL", "city": "Delft"}}
            }
        },
    ),
    _only_openai("moderation", "moderation", {"moderation": {"model": "omni", "policy": {"input": {"mode": "block"}}}}),
]

CASES = [*SAMPLING, *LENGTH, *CHOICES, *LOGPROBS, *REASONING, *OTHER]

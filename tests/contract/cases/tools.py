"""Tools: asking for calls, choosing them, answering them."""

from typing import Any

from tests.contract.case import HI, Answer, Call, Case, Choice, Json, Refused, Sends, called

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NESTED = {
    "type": "object",
    "properties": {
        "z": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}},
        "a": {"enum": ["x", "y"]},
        "n": {"type": "number", "minimum": 0.5, "maximum": 10},
        "m": {"anyOf": [{"type": "integer"}, {"type": "boolean"}]},
    },
    "additionalProperties": False,
}
LINKED = {
    "type": "object",
    "properties": {"node": {"$ref": "#/$defs/node"}},
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
}


def _tool(name: str = "get_weather", schema: Json | None = CITY, **fields: Any) -> dict[str, Any]:
    function = {"name": name, **({"parameters": schema} if schema is not None else {}), **fields}
    return {"type": "function", "function": function}


def _declared(*tools: Json) -> list[dict[str, Any]]:
    """The same tools as Gemini's declarations."""
    declarations = []
    for tool in tools:
        function = tool["function"]
        declaration = {"name": function["name"]}
        if "description" in function:
            declaration["description"] = function["description"]
        if "parameters" in function:
            declaration["parametersJsonSchema"] = function["parameters"]
        declarations.append(declaration)
    return [{"functionDeclarations": declarations}]


WEATHER, TIME = _tool(), _tool("get_time", {"type": "object", "properties": {}})
PARIS = Call("get_weather", '{"city":"Paris"}')
OSLO = Call("get_weather", '{"city":"Oslo"}', "call_2")
NOON = Call("get_time", "{}", "call_2")


def _called(name: str, answer: Answer, *tools: Json, **more: Any) -> Case:
    asked = list(tools) or [WEATHER]
    return Case(
        name,
        more.pop("feature", "tools"),
        {"tools": asked, **more.pop("fields", {})},
        answer,
        **{"ollama": Sends({"tools": asked}), "gemini": Sends({"tools": _declared(*asked)}), **more},
    )


def _echoed(name: str, arguments: str) -> Answer:
    return Answer((Choice(None, calls=(Call(name, arguments),), finish="tool_calls"),), usage=(7, 0))


CALLS = [
    _called("one-call", called(PARIS)),
    _called("no-call", Answer()),
    _called("call-without-arguments", called(Call("get_time", "{}")), TIME),
    _called("call-with-text-before", called(PARIS, content="Let me look.")),
    _called(
        "call-after-thoughts",
        Answer((Choice(None, calls=(PARIS,), finish="tool_calls", reasoning="I need the weather."),)),
        feature="reasoning",
    ),
    _called("call-unicode", called(Call("get_weather", '{"city":"Zürich 🏔","quote":"\\"x\\""}'))),
    _called("call-large-number", called(Call("get_weather", '{"city":"x","id":9007199254740993}'))),
    _called(
        "call-nested",
        called(Call("get_weather", '{"z":[{"a":null},{"a":"1"}],"a":"x","n":0.5,"m":true}')),
        _tool(schema=NESTED),
    ),
    _called("call-shredded", called(Call("get_weather", '{"city":"Reykjavík ✓"}'), shred=True)),
    _called("two-calls", called(PARIS, OSLO), feature="parallel tools"),
    _called("two-tools-two-calls", called(PARIS, NOON), WEATHER, TIME, feature="parallel tools"),
    _called(
        "five-calls",
        called(*(Call("get_weather", f'{{"city":"{n}"}}', f"call_{n}") for n in range(5))),
        feature="parallel tools",
    ),
    _called("tool-description", called(PARIS), _tool(description="Weather of a city")),
    _called("tool-without-parameters", called(Call("now", "{}")), _tool("now", None)),
    _called("tool-schema-nested", called(PARIS), _tool(schema=NESTED)),
    _called("tool-schema-linked", called(PARIS), _tool(schema=LINKED)),
    _called("tool-name-long", called(Call("a" * 64, "{}")), _tool("a" * 64)),
    _called("tool-name-dashed", called(Call("get-the_weather-2", "{}")), _tool("get-the_weather-2")),
    _called("many-tools", called(Call("tool_17", "{}")), *(_tool(f"tool_{n}") for n in range(30))),
    _called(
        "tool-strict",
        called(PARIS),
        _tool(strict=True),
        ollama=Sends({"tools": [WEATHER]}),
        gemini=Sends({"tools": _declared(WEATHER), "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}}),
    ),
    _called("tool-not-strict", called(PARIS), _tool(strict=False), ollama=Sends({"tools": [WEATHER]})),
    Case(
        "built-in-calls-the-first-tool",
        "tools",
        {"tools": [WEATHER, TIME]},
        openai=None,
        cerebras=None,
        custom=Answer(
            (Choice(None, calls=(Call("get_weather", '{"city":"text"}'),), finish="tool_calls"),), usage=(7, 7)
        ),
    ),
    Case(
        "built-in-calls-the-named-tool",
        "tool choice",
        {"tools": [WEATHER, TIME], "tool_choice": {"type": "function", "function": {"name": "get_time"}}},
        openai=None,
        cerebras=None,
        custom=Answer((Choice(None, calls=(Call("get_time", "{}"),), finish="tool_calls"),), usage=(7, 3)),
    ),
]


def _config(mode: str, *names: str) -> Json:
    config: dict[str, Any] = {"mode": mode}
    if names:
        config["allowedFunctionNames"] = list(names)
    return {"tools": _declared(WEATHER, TIME), "toolConfig": {"functionCallingConfig": config}}


def _chosen(name: str, choice: Any, gemini: Json, **more: Any) -> Case:
    answer = more.pop("answer", called(PARIS))
    return Case(
        name,
        "tool choice",
        {"tools": [WEATHER, TIME], "tool_choice": choice},
        answer,
        gemini=Sends(gemini),
        **{"ollama": Refused("tool_choice"), **more},
    )


ALLOWED = {"type": "function", "function": {"name": "get_time"}}
CHOICE = [
    _chosen("choice-auto", "auto", _config("AUTO"), ollama=Sends({"tools": [WEATHER, TIME]})),
    _chosen("choice-none", "none", _config("NONE"), ollama=Sends(), answer=Answer()),
    _chosen("choice-required", "required", _config("ANY")),
    _chosen("choice-named", {"type": "function", "function": {"name": "get_weather"}}, _config("ANY", "get_weather")),
    _chosen(
        "choice-allowed",
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [ALLOWED]}},
        _config("VALIDATED", "get_time"),
        cerebras=Refused("tool_choice"),
        ollama=Sends({"tools": [TIME]}),
        answer=called(Call("get_time", "{}")),
    ),
    _chosen(
        "choice-allowed-required",
        {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [ALLOWED]}},
        _config("ANY", "get_time"),
        cerebras=Refused("tool_choice"),
        answer=called(Call("get_time", "{}")),
    ),
    _called("parallel-allowed", called(PARIS, OSLO), feature="parallel tools", fields={"parallel_tool_calls": True}),
    _called(
        "parallel-forbidden",
        called(PARIS),
        feature="parallel tools",
        fields={"parallel_tool_calls": False},
        ollama=Refused("parallel_tool_calls"),
        gemini=Refused("parallel_tool_calls"),
    ),
]


def _call_message(*calls: Call, content: str | None = None) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": content,
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ],
    }


def _result(call: Call, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call.id, "content": content}


def _ollama_call(call: Call, arguments: Json) -> dict[str, Any]:
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments}}


def _ollama_result(call: Call, content: str) -> dict[str, Any]:
    return {"role": "tool", "content": content, "tool_name": call.name, "tool_call_id": call.id}


def _gemini_call(call: Call, arguments: Json) -> dict[str, Any]:
    return {"functionCall": {"id": call.id, "name": call.name, "args": arguments}}


def _gemini_result(call: Call, response: Json) -> dict[str, Any]:
    return {"functionResponse": {"id": call.id, "name": call.name, "response": response}}


ASK = {"role": "user", "parts": [{"text": "hi"}]}
PARIS_ARGUMENTS, OSLO_ARGUMENTS = {"city": "Paris"}, {"city": "Oslo"}


def _answered(name: str, content: Any, text: str, response: Json) -> Case:
    """One call and its result, in every vendor's words."""
    return Case(
        name,
        "tool results",
        {"messages": [HI, _call_message(PARIS), _result(PARIS, content)]},
        ollama=Sends(
            {
                "messages": [
                    HI,
                    {"role": "assistant", "content": "", "tool_calls": [_ollama_call(PARIS, PARIS_ARGUMENTS)]},
                    _ollama_result(PARIS, text),
                ]
            }
        ),
        gemini=Sends(
            {
                "contents": [
                    ASK,
                    {"role": "model", "parts": [_gemini_call(PARIS, PARIS_ARGUMENTS)]},
                    {"role": "user", "parts": [_gemini_result(PARIS, response)]},
                ]
            }
        ),
    )


RESULTS = [
    _answered("result-text", "sunny", "sunny", {"result": "sunny"}),
    _answered("result-object", '{"sky":"blue","t":21.5}', '{"sky":"blue","t":21.5}', {"sky": "blue", "t": 21.5}),
    _answered("result-list", "[1,2]", "[1,2]", {"result": [1, 2]}),
    _answered("result-empty", "", "", {"result": ""}),
    _answered(
        "result-parts", [{"type": "text", "text": "sun"}, {"type": "text", "text": "ny"}], "sunny", {"result": "sunny"}
    ),
    _answered("result-unicode", "☀️ 21 °C", "☀️ 21 °C", {"result": "☀️ 21 °C"}),
    _answered("result-number", "21", "21", {"result": "21"}),
    Case(
        "two-results",
        "tool results",
        {
            "messages": [
                HI,
                _call_message(PARIS, OSLO, content="Both."),
                _result(OSLO, "snow"),
                _result(PARIS, "sun"),
                {"role": "user", "content": "and?"},
            ],
            "tools": [WEATHER],
        },
        ollama=Sends(
            {
                "messages": [
                    HI,
                    {
                        "role": "assistant",
                        "content": "Both.",
                        "tool_calls": [_ollama_call(PARIS, PARIS_ARGUMENTS), _ollama_call(OSLO, OSLO_ARGUMENTS)],
                    },
                    _ollama_result(OSLO, "snow"),
                    _ollama_result(PARIS, "sun"),
                    {"role": "user", "content": "and?"},
                ],
                "tools": [WEATHER],
            }
        ),
        gemini=Sends(
            {
                "contents": [
                    ASK,
                    {
                        "role": "model",
                        "parts": [
                            {"text": "Both."},
                            _gemini_call(PARIS, PARIS_ARGUMENTS),
                            _gemini_call(OSLO, OSLO_ARGUMENTS),
                        ],
                    },
                    {
                        "role": "user",
                        "parts": [_gemini_result(PARIS, {"result": "sun"}), _gemini_result(OSLO, {"result": "snow"})],
                    },
                    {"role": "user", "parts": [{"text": "and?"}]},
                ],
                "tools": _declared(WEATHER),
            }
        ),
    ),
    Case(
        "built-in-answers-a-result",
        "tool results",
        {"messages": [HI, _call_message(PARIS), _result(PARIS, "sunny")], "tools": [WEATHER]},
        openai=None,
        cerebras=None,
        custom=Answer((Choice("sunny"),), usage=(15, 2)),
    ),
    Case(
        "result-for-no-call",
        "bad input",
        {"messages": [HI, _result(PARIS, "sunny")]},
        cerebras=None,
        ollama=Refused("messages[1].tool_call_id", "invalid_value"),
        gemini=Refused("messages[1].tool_call_id", "invalid_value"),
    ),
    Case(
        "signed-call",
        "thought signatures",
        answer=called(Call("get_weather", '{"city":"Paris"}', signature="c2lnbg==")),
        openai=None,
        cerebras=None,
        gemini=Sends(),
    ),
    Case(
        "signature-sent-back",
        "thought signatures",
        {
            "messages": [
                HI,
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            **_call_message(PARIS)["tool_calls"][0],
                            "extra_content": {"google": {"thought_signature": "c2lnbg=="}},
                        }
                    ],
                },
                _result(PARIS, "sunny"),
            ]
        },
        openai=None,
        cerebras=None,
        gemini=Sends(
            {
                "contents": [
                    ASK,
                    {
                        "role": "model",
                        "parts": [{**_gemini_call(PARIS, PARIS_ARGUMENTS), "thoughtSignature": "c2lnbg=="}],
                    },
                    {"role": "user", "parts": [_gemini_result(PARIS, {"result": "sunny"})]},
                ]
            }
        ),
    ),
]

CUSTOM_TOOL = {"type": "custom", "custom": {"name": "shell", "description": "Runs a command"}}
GRAMMAR = {"type": "grammar", "grammar": {"definition": "start: /a+/", "syntax": "lark"}}
CUSTOM_CALL = Answer(
    (
        Choice(
            None,
            finish="tool_calls",
            more={"tool_calls": [{"id": "call_1", "type": "custom", "custom": {"name": "shell", "input": "ls"}}]},
        ),
    )
)
CUSTOM = [
    Case(
        "custom-tool",
        "custom tools",
        {"tools": [CUSTOM_TOOL]},
        CUSTOM_CALL,
        cerebras=Refused("tools[0]"),
        ollama=Refused("tools[0].custom"),
        gemini=Refused("tools[0].type"),
    ),
    Case(
        "custom-tool-grammar",
        "custom tools",
        {"tools": [{"type": "custom", "custom": {"name": "shell", "format": GRAMMAR}}]},
        CUSTOM_CALL,
        cerebras=Refused("tools[0]"),
        ollama=Refused("tools[0].custom"),
        gemini=Refused("tools[0].type"),
    ),
    Case(
        "duplicated-tool-names",
        "bad input",
        {"tools": [WEATHER, WEATHER]},
        cerebras=None,
        ollama=Refused("tools[1].function.name", "invalid_value"),
        gemini=Refused("tools[1].function.name", "invalid_value"),
    ),
    Case(
        "functions-of-before-tools",
        "functions (deprecated)",
        {"functions": [{"name": "f", "parameters": CITY}], "function_call": {"name": "f"}},
        cerebras=Refused("functions"),
        ollama=Refused("functions"),
        gemini=Refused("functions"),
    ),
]

CASES = [*CALLS, *CHOICE, *RESULTS, *CUSTOM]

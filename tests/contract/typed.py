"""OpenAI's JSON as messages of the contract and back, written apart from the gateway's own codec."""

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from llmgateway.v1.chat_chunk_pb2 import ChatCompletionChunk
from llmgateway.v1.chat_completion_pb2 import ChatCompletion
from llmgateway.v1.chat_message_pb2 import Role
from llmgateway.v1.chat_request_pb2 import ChatCompletionRequest

_FIELDS = set(ChatCompletionRequest.DESCRIPTOR.fields_by_name) - {"extra_body_json"}


def chat_request(body: Mapping[str, Any]) -> ChatCompletionRequest:
    """Return the request; nulls are unset there, and fields that the contract does not have travel as JSON text."""
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in body.items():
        if name not in _FIELDS:
            extra[name] = value
        elif value is not None:
            convert = _REQUEST.get(name)
            fields[name] = convert(value) if convert else value
    if extra:
        fields["extra_body_json"] = json.dumps(extra)
    return json_format.ParseDict(fields, ChatCompletionRequest())


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {name: value for name, value in message.items() if value is not None}
    fields["role"] = "ROLE_" + message["role"].upper()
    content = fields.pop("content", None)
    if isinstance(content, str):
        fields["content"] = [{"text": content}]
    elif content is not None:
        fields["content"] = [_part(part) for part in content]
    if "tool_calls" in fields:
        fields["tool_calls"] = [_call(call) for call in fields["tool_calls"]]
    return fields


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "type"}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in call.items() if name not in {"type", "extra_content"}}
    if "extra_content" in call:
        fields["extra_content_json"] = json.dumps(call["extra_content"])
    return fields


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool["type"]
    fields = dict(tool[kind])
    if "parameters" in fields:
        fields["parameters_json"] = json.dumps(fields.pop("parameters"))
    form = fields.pop("format", {})
    if "grammar" in form:
        fields["grammar"] = form["grammar"]
    return {kind: fields}


def _choice(choice: Any) -> dict[str, Any]:
    if isinstance(choice, str):
        return {"mode": "MODE_" + choice.upper()}
    if choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        tools = [_choice(tool) for tool in allowed["tools"]]
        return {"allowed_tools": {"mode": "MODE_" + allowed["mode"].upper(), "tools": tools}}
    return {choice["type"] + "_name": choice[choice["type"]]["name"]}


def _format(form: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(form.get(form["type"], {}))
    if "schema" in fields:
        fields["schema_json"] = json.dumps(fields.pop("schema"))
    return {form["type"]: fields}


def _audio(audio: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(audio)
    if isinstance(fields["voice"], dict):
        fields["voice_id"] = fields.pop("voice")["id"]
    return fields


def _prediction(prediction: Mapping[str, Any]) -> dict[str, Any]:
    content = prediction["content"]
    return {"content": [content] if isinstance(content, str) else [part["text"] for part in content]}


def _web_search(options: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(options)
    if "user_location" in fields:
        fields["user_location"] = fields["user_location"]["approximate"]
    return fields


def _moderation(options: Mapping[str, Any]) -> dict[str, Any]:
    modes = {f"{side}_mode": policy["mode"] for side, policy in options.get("policy", {}).items()}
    return {"model": options["model"], **modes}


_REQUEST: Mapping[str, Any] = {
    "messages": lambda messages: [_message(message) for message in messages],
    "stop": lambda stop: [stop] if isinstance(stop, str) else stop,
    "tools": lambda tools: [_tool(tool) for tool in tools],
    "tool_choice": _choice,
    "response_format": _format,
    "audio": _audio,
    "prediction": _prediction,
    "web_search_options": _web_search,
    "moderation": _moderation,
}


def canonical(body: Any) -> Any:
    """Return a vendor's request in the one form that a typed request can have: no nulls, no lists of single texts."""
    body = pruned(body)
    if isinstance(body.get("stop"), str):
        body["stop"] = [body["stop"]]
    for message in body.get("messages", ()):
        message["content"] = _single(message.get("content", ""))
        if message["role"] == "assistant" and message["content"] == "":
            del message["content"]
    if isinstance(body.get("prediction"), dict):
        body["prediction"]["content"] = _single(body["prediction"]["content"])
    for tool in body.get("tools", ()):
        if tool.get("custom", {}).get("format") == {"type": "text"}:
            del tool["custom"]["format"]
    return body


def _single(content: Any) -> Any:
    if isinstance(content, list) and len(content) == 1 and content[0].keys() == {"type", "text"}:
        return content[0]["text"]
    return content


def pruned(node: Any) -> Any:
    """Return `node` without nulls and empty lists: in the contract they are unset."""
    if isinstance(node, dict):
        return {name: pruned(value) for name, value in node.items() if value is not None and value != []}
    return [pruned(item) for item in node] if isinstance(node, list) else node


def completion_json(message: ChatCompletion) -> dict[str, Any]:
    """Return a whole answer in OpenAI's words, without nulls."""
    choices = []
    for choice in message.choices:
        said = {"role": _role(choice.message.role), **_said(choice.message)}
        if choice.message.tool_calls:
            said["tool_calls"] = [_call_json(call) for call in choice.message.tool_calls]
        choices.append({"index": choice.index, "message": said, **_end(choice)})
    return _head(message, "chat.completion", choices) | (
        {"metadata": dict(message.metadata)} if message.metadata else {}
    )


def chunk_json(message: ChatCompletionChunk) -> dict[str, Any]:
    """Return a chunk in OpenAI's words, without nulls."""
    choices = []
    for choice in message.choices:
        delta = _said(choice.delta)
        if choice.delta.HasField("role"):
            delta["role"] = _role(choice.delta.role)
        if choice.delta.tool_calls:
            delta["tool_calls"] = [{"index": call.index, **_call_json(call)} for call in choice.delta.tool_calls]
        choices.append({"index": choice.index, "delta": delta, **_end(choice)})
    return _head(message, "chat.completion.chunk", choices)


def _head(message: Any, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": message.id,
        "object": kind,
        "created": message.created,
        "model": message.model,
        "choices": choices,
    }
    for name in ("service_tier", "system_fingerprint"):
        if getattr(message, name):
            fields[name] = getattr(message, name)
    if message.HasField("usage"):
        usage = message.usage
        fields["usage"] = {
            name: getattr(usage, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
        }
        for name in ("prompt_tokens_details", "completion_tokens_details"):
            if usage.HasField(name):
                fields["usage"][name] = {field.name: value for field, value in getattr(usage, name).ListFields()}
    return fields | (json.loads(message.extra_json) if message.extra_json else {})


def _role(role: int) -> str:
    return Role.Name(role).removeprefix("ROLE_").lower()


def _said(message: Any) -> dict[str, Any]:
    said: dict[str, Any] = {
        name: getattr(message, name) for name in ("content", "refusal", "reasoning_content") if message.HasField(name)
    }
    if message.annotations:
        said["annotations"] = [
            {"type": "url_citation", "url_citation": _plain(annotation.url_citation)}
            for annotation in message.annotations
        ]
    if message.HasField("audio"):
        said["audio"] = _plain(message.audio)
    return said


def _plain(message: Any) -> dict[str, Any]:
    return {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}


def _call_json(call: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": call.id, "type": call.WhichOneof("call")} if call.id else {}
    kind = call.WhichOneof("call")
    if kind:
        fields[kind] = {name: value for name, value in _plain(getattr(call, kind)).items() if value or call.id}
    if call.extra_content_json:
        fields["extra_content"] = json.loads(call.extra_content_json)
    return fields


def _end(choice: Any) -> dict[str, Any]:
    end: dict[str, Any] = {"finish_reason": choice.finish_reason} if choice.finish_reason else {}
    if choice.HasField("logprobs"):
        end["logprobs"] = {
            name: [_token(token) for token in tokens]
            for name in ("content", "refusal")
            if (tokens := getattr(choice.logprobs, name))
        }
    return end


def _token(token: Any) -> dict[str, Any]:
    fields = {"token": token.token, "logprob": token.logprob}
    if token.HasField("token_bytes"):
        fields["bytes"] = list(token.token_bytes)
    tops = [_token(top) for top in getattr(token, "top_logprobs", ())]
    return fields | ({"top_logprobs": tops} if tops else {})

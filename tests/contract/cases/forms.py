"""What goes in beside text, and the form of what comes out."""

from typing import Any

from tests.contract.case import Answer, Case, Choice, Json, Refused, Sends, text

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
SOUND = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
PAGE = "JVBERi0xLjQKJSVFT0YK"
PNG, JPEG = f"data:image/png;base64,{PIXEL}", f"data:image/jpeg;base64,{PIXEL}"
ANSWER = text('{"a":1}')


def _format(name: str, form: Json, ollama: Any, gemini: Json, feature: str = "JSON schema") -> Case:
    return Case(
        name,
        feature,
        {"response_format": form},
        Answer() if feature == "text" else ANSWER,
        ollama=Sends({"format": ollama}) if ollama is not None else Sends(),
        gemini=Sends({"generationConfig": gemini}) if gemini else Sends(),
    )


def _schema(name: str, schema: Json, **fields: Any) -> Case:
    """A schema goes to every vendor with its keys in the caller's order."""
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **fields}}
    return _format(name, form, schema, {"responseMimeType": "application/json", "responseJsonSchema": schema})


ORDERED = {"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "string"}, "m": {"type": "number"}}}
STEPS = {
    "type": "object",
    "properties": {"steps": {"type": "array", "items": {"$ref": "#/$defs/step"}}},
    "$defs": {"step": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}},
    "required": ["steps"],
    "additionalProperties": False,
}
FORMATS = [
    _format("format-text", {"type": "text"}, None, {}, "text"),
    _format(
        "format-json-object",
        {"type": "json_object"},
        "json",
        {"responseMimeType": "application/json"},
        feature="JSON mode",
    ),
    _schema("schema", {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}),
    _schema("schema-strict", {**ORDERED, "additionalProperties": False, "required": ["z", "a", "m"]}, strict=True),
    _schema("schema-not-strict", ORDERED, strict=False),
    _schema("schema-nested", STEPS, strict=True),
    _schema("schema-enum", {"type": "object", "properties": {"a": {"enum": ["x", "y", None]}}}),
    _schema("schema-any-of", {"anyOf": [{"type": "string"}, {"type": "object", "properties": {}}]}),
    Case(
        "built-in-json-object",
        "JSON mode",
        {"response_format": {"type": "json_object"}},
        openai=None,
        cerebras=None,
        custom=Answer((Choice('{"echo":"hi"}'),), usage=(7, 5)),
    ),
    Case(
        "built-in-schema",
        "JSON schema",
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "s",
                    "schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                },
            }
        },
        openai=None,
        cerebras=None,
        custom=Answer((Choice('{"a":1}'),), usage=(7, 5)),
    ),
]


def _image(url: str, detail: str | None = None) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **({"detail": detail} if detail else {})}}


def _text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def _looked(name: str, parts: list[Any], **columns: Any) -> Case:
    return Case(name, columns.pop("feature", "images"), {"messages": [{"role": "user", "content": parts}]}, **columns)


def _seen(said: str, *images: str) -> Sends:
    """What Ollama gets: one text, and the images beside it."""
    return Sends({"messages": [{"role": "user", "content": said, "images": list(images)}]})


def _inline(mime: str = "image/png", data: str = PIXEL) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime, "data": data}}


def _contents(*parts: Json, **more: Any) -> Sends:
    return Sends({"contents": [{"role": "user", "parts": list(parts)}], **more})


ASK = {"text": "What?"}
URL = "https://images.example/cat.png"
IMAGE_PATH = "messages[0].content[1].image_url.url"
IMAGES = [
    _looked(
        "image-data", [_text("What?"), _image(PNG)], ollama=_seen("What?", PIXEL), gemini=_contents(ASK, _inline())
    ),
    _looked(
        "image-jpeg",
        [_text("What?"), _image(JPEG)],
        ollama=_seen("What?", PIXEL),
        gemini=_contents(ASK, _inline("image/jpeg")),
    ),
    _looked(
        "image-first", [_image(PNG), _text("What?")], ollama=_seen("What?", PIXEL), gemini=_contents(_inline(), ASK)
    ),
    _looked("image-alone", [_image(PNG)], ollama=_seen("", PIXEL), gemini=_contents(_inline())),
    _looked(
        "two-images",
        [_text("What?"), _image(PNG), _image(JPEG), _text("And?")],
        ollama=_seen("What?And?", PIXEL, PIXEL),
        gemini=_contents(ASK, _inline(), _inline("image/jpeg"), {"text": "And?"}),
    ),
    _looked(
        "image-detail-low",
        [_text("What?"), _image(PNG, "low")],
        ollama=_seen("What?", PIXEL),
        gemini=_contents(ASK, _inline(), generationConfig={"mediaResolution": "MEDIA_RESOLUTION_LOW"}),
    ),
    _looked(
        "image-detail-high",
        [_text("What?"), _image(PNG, "high")],
        ollama=_seen("What?", PIXEL),
        gemini=_contents(ASK, _inline(), generationConfig={"mediaResolution": "MEDIA_RESOLUTION_HIGH"}),
    ),
    _looked(
        "image-detail-auto",
        [_text("What?"), _image(PNG, "auto")],
        ollama=_seen("What?", PIXEL),
        gemini=_contents(ASK, _inline()),
    ),
    _looked(
        "image-by-url",
        [_text("What?"), _image(URL)],
        feature="images by URL",
        ollama=Refused(IMAGE_PATH, "invalid_value"),
        gemini=_contents(ASK, {"fileData": {"fileUri": URL, "mimeType": "image/png"}}),
    ),
    _looked(
        "image-not-base64",
        [_text("What?"), _image("data:image/png;base64,@@@")],
        feature="bad input",
        cerebras=None,
        openai=None,
        ollama=Refused(IMAGE_PATH, "invalid_value"),
        gemini=Refused(IMAGE_PATH, "invalid_value"),
    ),
]

HEARD = {"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}}
HEARD_MP3 = {"type": "input_audio", "input_audio": {"data": SOUND, "format": "mp3"}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PAGE}"}}
FILE_ID = {"type": "file", "file": {"file_id": "files/abc"}}
FILE_PATH = "messages[0].content[1]"
MEDIA = [
    _looked(
        "audio-wav",
        [_text("What?"), HEARD],
        feature="audio in",
        cerebras=Refused(FILE_PATH),
        ollama=_seen("What?", SOUND),
        gemini=_contents(ASK, _inline("audio/wav", SOUND)),
    ),
    _looked(
        "audio-mp3",
        [_text("What?"), HEARD_MP3],
        feature="audio in",
        cerebras=Refused(FILE_PATH),
        ollama=_seen("What?", SOUND),
        gemini=_contents(ASK, _inline("audio/mp3", SOUND)),
    ),
    _looked(
        "audio-and-image",
        [_text("What?"), _image(PNG), HEARD],
        feature="audio in",
        cerebras=Refused("messages[0].content[2]"),
        ollama=_seen("What?", PIXEL, SOUND),
        gemini=_contents(ASK, _inline(), _inline("audio/wav", SOUND)),
    ),
    _looked(
        "file-pdf",
        [_text("What?"), FILE],
        feature="files",
        cerebras=Refused(FILE_PATH),
        ollama=Refused(FILE_PATH),
        gemini=_contents(ASK, _inline("application/pdf", PAGE)),
    ),
    _looked(
        "file-by-id",
        [_text("What?"), FILE_ID],
        feature="files",
        cerebras=Refused(FILE_PATH),
        ollama=Refused(FILE_PATH),
    ),
]

SPOKEN = {"id": "audio_1", "data": "UklGRg==", "transcript": "hi", "expires_at": 1735689999}
VOICE = [
    Case(
        "audio-out",
        "audio out",
        {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
        Answer((Choice(None, more={"audio": SPOKEN}),)),
        cerebras=Refused("modalities"),
        ollama=Refused("modalities"),
        gemini=Refused("modalities"),
    ),
    Case(
        "audio-out-own-voice",
        "audio out",
        {"modalities": ["text", "audio"], "audio": {"voice": {"id": "voice_1"}, "format": "mp3"}},
        Answer((Choice(None, more={"audio": SPOKEN}),)),
        cerebras=Refused("modalities"),
        ollama=Refused("modalities"),
        gemini=Refused("modalities"),
    ),
    Case("modalities-text", "text", {"modalities": ["text"]}, cerebras=None, ollama=Sends(), gemini=Sends()),
]

CASES = [*FORMATS, *IMAGES, *MEDIA, *VOICE]

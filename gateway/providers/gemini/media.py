"""Images, sounds and files as parts of a Gemini content.

Source: the Generative Language API, `Part.inlineData` and `Part.fileData`; "File input methods" in its guide: `fileUri`
takes files of its Files API, YouTube, and public HTTPS addresses, which Google fetches.
"""

import binascii
import mimetypes
from typing import Any, Final

from yarl import URL

from gateway.errors import InvalidRequest
from gateway.wire.chat import File, InputAudio

JsonPart = dict[str, Any]

_AUDIO_TYPES: Final = {
    "wav": "audio/wav",
    "mp3": "audio/mp3",
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
}
_FILES: Final = "files/"


def url_part(url: str, path: str) -> JsonPart:
    """Return the part for the URL of an image or another file. Raises InvalidRequest."""
    if url.startswith("data:"):
        return _from_data_url(url, path)
    if not url.startswith("https://"):
        raise InvalidRequest(
            f"Invalid value for '{path}': expected a 'data:' URL with base64, or an https address.", param=path
        )
    data = {"fileUri": url}
    if mime_type := mimetypes.guess_type(url.partition("?")[0])[0]:
        data["mimeType"] = mime_type
    return {"fileData": data}


def audio_part(audio: InputAudio, path: str) -> JsonPart:
    """Return the part for spoken input. Raises InvalidRequest."""
    mime_type = _AUDIO_TYPES.get(audio.format)
    if mime_type is None:
        raise InvalidRequest(
            f"Invalid value for '{path}.format': expected one of {', '.join(_AUDIO_TYPES)}.", param=f"{path}.format"
        )
    return _inline(mime_type, audio.data, f"{path}.data")


def file_part(file: File, path: str, base_url: URL) -> JsonPart:
    """Return the part for a file: its data, or its name (`files/...`) in the Files API at `base_url`.

    Raises InvalidRequest.
    """
    if file.file_data:
        where = f"{path}.file_data"
        if file.file_data.startswith("data:"):
            return _from_data_url(file.file_data, where)
        mime_type = mimetypes.guess_type(file.filename or "")[0]
        if mime_type is None:
            raise InvalidRequest(
                f"Invalid value for '{where}': expected a 'data:' URL, or a filename that tells the type.", param=where
            )
        return _inline(mime_type, file.file_data, where)
    where = f"{path}.file_id"
    if not file.file_id:
        raise InvalidRequest(
            f"Missing required parameter: '{path}.file_data' or '{where}'.",
            param=f"{path}.file_data",
            code="missing_required_parameter",
        )
    if file.file_id.startswith(_FILES):
        return {"fileData": {"fileUri": f"{base_url}/{file.file_id}"}}
    if file.file_id.startswith("https://"):
        return url_part(file.file_id, where)
    raise InvalidRequest(
        f"Invalid value for '{where}': expected '{_FILES}NAME' of Gemini's Files API, or an https address.", param=where
    )


def _from_data_url(url: str, path: str) -> JsonPart:
    head, comma, data = url.partition(",")
    mime_type, *attributes = head.removeprefix("data:").split(";")
    if not comma or "/" not in mime_type or "base64" not in attributes:
        raise InvalidRequest(f"Invalid value for '{path}': expected 'data:TYPE;base64,DATA'.", param=path)
    return _inline(mime_type, data, path)


def _inline(mime_type: str, data: str, path: str) -> JsonPart:
    try:
        valid = bool(binascii.a2b_base64(data, strict_mode=True))
    except ValueError:
        valid = False
    if not valid:
        raise InvalidRequest(f"Invalid value for '{path}': its data is not valid base64.", param=path)
    return {"inlineData": {"mimeType": mime_type, "data": data}}

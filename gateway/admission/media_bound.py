"""How many prompt tokens an image, a recording or a file has at most.

Source: OpenAI's guides "Images and vision" and "Audio". The sizes of remote images are not known, and users measured
that OpenAI's resizing rounds up where its formula rounds down, so an image counts as the largest of its model.
"""

import base64
import binascii
from typing import Final

from gateway.wire.chat import AudioPart, FilePart, ImagePart, InputAudio

PAST_AUDIO: Final = 16_384
"""An earlier spoken answer: the largest output of the models that speak."""

FILE: Final = 1_050_000
"""A file's text is compressed, or only named by an id: it counts as the largest context window there is."""

_DEAREST_IMAGE: Final = (48_169, 48_169)
_IMAGES: Final = (
    ("gpt-4o-mini", (48_169, 2_833)),  # 2,833 and 5,667 for each of 8 tiles
    ("gpt-4o", (1_445, 85)),  # 85 and 170 for each of 8 tiles
    ("chatgpt-4o", (1_445, 85)),
    ("gpt-4.1-mini", (2_489, 2_489)),  # 1,536 patches, times 1.62
    ("gpt-4.1-nano", (3_779, 3_779)),  # 1,536 patches, times 2.46
    ("gpt-4.1", (1_445, 85)),
    ("gpt-4.5", (1_445, 85)),
    ("gpt-5", (24_600, 24_600)),  # 10,000 patches, times 2.46: the largest budget and factor of the family
    ("o4-mini", (2_642, 2_642)),  # 1,536 patches, times 1.72
    ("o1", (1_275, 75)),  # 75 and 150 for each of 8 tiles
    ("o3", (1_275, 75)),
)
"""Most tokens of an image, and of one of low detail; the first prefix of the model's name counts."""

_AUDIO_PER_SECOND: Final = 20
"""OpenAI documents one token per 100 ms of a user's audio and one per 50 ms of an assistant's."""
_LEAST_BYTES_PER_SECOND: Final = 1_000
"""The lowest bit rate of MP3, 8 kbit/s."""
_PLAIN_WAVE_FORMATS: Final = frozenset({1, 3, 6, 7})
"""PCM, float, A-law, µ-law: a second has the same bytes throughout."""


def media_bound(part: ImagePart | AudioPart | FilePart, model: str) -> int:
    """Return the most prompt tokens of `part`, read by `model` (its name in small letters)."""
    if isinstance(part, ImagePart):
        largest, low = next((tokens for prefix, tokens in _IMAGES if model.startswith(prefix)), _DEAREST_IMAGE)
        return low if part.image_url.detail == "low" else largest
    if isinstance(part, AudioPart):
        return _audio(part.input_audio)
    return FILE


def _audio(audio: InputAudio) -> int:
    size = len(audio.data) * 3 // 4
    return -(-size * _AUDIO_PER_SECOND // _bytes_per_second(audio.data[:64])) + 1


def _bytes_per_second(start: str) -> int:
    """Return the fewest bytes that a second of the recording takes, given its first characters in base64."""
    try:
        head = base64.b64decode(start, validate=True)
    except (binascii.Error, ValueError):
        return _LEAST_BYTES_PER_SECOND
    if len(head) < 36 or head[:4] != b"RIFF" or head[8:16] != b"WAVEfmt ":
        return _LEAST_BYTES_PER_SECOND
    encoding, channels = _little(head[20:22]), _little(head[22:24])
    rate, bits = _little(head[24:28]), _little(head[34:36])
    if encoding not in _PLAIN_WAVE_FORMATS:
        return _LEAST_BYTES_PER_SECOND
    return max(1, rate * channels * bits // 8)


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")

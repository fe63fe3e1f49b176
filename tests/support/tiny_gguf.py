"""A language model with random weights, small enough to make in a test: real servers load it, and it babbles.

Source of the format: ggml's `docs/gguf.md`, version 3.
"""

import random
import struct
from array import array
from typing import Any

WIDTH = 64
HEADS = 4
FEED_FORWARD = 128
CONTEXT = 2048
_ALIGNMENT = 32
_UINT32, _INT32, _FLOAT32, _STRING, _ARRAY = 4, 5, 6, 8, 9
_F32 = 0


class Uint32(int):
    """An integer that is written as GGUF's 32-bit unsigned one."""


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> tuple[int, bytes]:
    match value:
        case Uint32():
            return _UINT32, struct.pack("<I", value)
        case int():
            return _INT32, struct.pack("<i", value)
        case float():
            return _FLOAT32, struct.pack("<f", value)
        case str():
            return _STRING, _text(value)
        case list():
            items = [_value(item) for item in value]
            return _ARRAY, struct.pack("<IQ", items[0][0], len(items)) + b"".join(data for _, data in items)
    raise TypeError(type(value).__name__)


def _vocabulary() -> tuple[list[str], list[float], list[int]]:
    """SentencePiece's: three control tokens, every byte, and a few words with a space before them."""
    words = ["\u2581" + word for word in ("a", "be", "can", "do", "in", "it", "of", "on", "the", "to", "we", "you")]
    letters = [*"abcdefghijklmnopqrstuvwxyz", "\u2581"]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + letters + words
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(letters) + len(words))
    scores = [0.0] * 259 + [-20.0] * len(letters) + [-1.0] * len(words)
    return tokens, scores, kinds


def tiny_gguf(**more: Any) -> bytes:
    """Return a llama of one layer; `more` are metadata keys beyond the needed ones, `__` for a dot."""
    tokens, scores, kinds = _vocabulary()
    metadata: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "tiny",
        "general.file_type": Uint32(0),
        "llama.block_count": Uint32(1),
        "llama.context_length": Uint32(CONTEXT),
        "llama.embedding_length": Uint32(WIDTH),
        "llama.feed_forward_length": Uint32(FEED_FORWARD),
        "llama.attention.head_count": Uint32(HEADS),
        "llama.attention.head_count_kv": Uint32(HEADS),
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": Uint32(WIDTH // HEADS),
        "llama.vocab_size": Uint32(len(tokens)),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.bos_token_id": Uint32(1),
        "tokenizer.ggml.eos_token_id": Uint32(2),
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    tensors = {
        "token_embd.weight": (WIDTH, len(tokens)),
        "blk.0.attn_norm.weight": (WIDTH,),
        "blk.0.attn_q.weight": (WIDTH, WIDTH),
        "blk.0.attn_k.weight": (WIDTH, WIDTH),
        "blk.0.attn_v.weight": (WIDTH, WIDTH),
        "blk.0.attn_output.weight": (WIDTH, WIDTH),
        "blk.0.ffn_norm.weight": (WIDTH,),
        "blk.0.ffn_gate.weight": (WIDTH, FEED_FORWARD),
        "blk.0.ffn_up.weight": (WIDTH, FEED_FORWARD),
        "blk.0.ffn_down.weight": (FEED_FORWARD, WIDTH),
        "output_norm.weight": (WIDTH,),
        "output.weight": (WIDTH, len(tokens)),
    }
    head = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata)))
    for name, value in metadata.items():
        kind, data = _value(value)
        head += _text(name) + struct.pack("<I", kind) + data
    weights = bytearray()
    chance = random.Random(1)
    for name, shape in tensors.items():
        head += _text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", _F32, len(weights))
        size = shape[0] * (shape[1] if len(shape) > 1 else 1)
        weights += array("f", (1.0 if len(shape) == 1 else chance.gauss(0, 0.3) for _ in range(size))).tobytes()
        weights += bytes(-len(weights) % _ALIGNMENT)
    head += bytes(-len(head) % _ALIGNMENT)
    return bytes(head + weights)

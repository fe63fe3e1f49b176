"""Embeddings: one request, and what each vendor is sent for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.contract.case import SAME, Column, Json, Refused, Sends


@dataclass(frozen=True)
class VectorCase:
    """One case. `request` is without `model`; `count` vectors of two numbers come back, for `tokens` tokens.

    The columns are the fields that the vendor is sent.
    """

    id: str
    feature: str
    request: Json
    count: int
    openai: Column = SAME
    ollama: Column = None
    gemini: Column = None
    custom: Column = SAME
    tokens: int = 4

    def column(self, provider: str) -> Column:
        column: Column = getattr(self, provider, None)  # Cerebras has no embeddings, and so no column
        return column

    @property
    def vectors(self) -> list[list[float]]:
        """Numbers that 32-bit floats hold exactly."""
        return [[at + 0.5, -0.25] for at in range(self.count)]


def _google(texts: Sequence[str], **more: Any) -> Sends:
    model = "models/gemini-embedding-001"
    return Sends({"requests": [{"model": model, "content": {"parts": [{"text": text}]}, **more} for text in texts]})


def _texts(name: str, sent: Any, texts: list[str], **fields: Any) -> VectorCase:
    return VectorCase(
        name,
        "embeddings",
        {"input": sent, **fields},
        len(texts),
        ollama=Sends({"input": texts}),
        gemini=_google(texts),
    )


MANY = [f"text {n}" for n in range(60)]
CASES = [
    _texts("one-text", "hi", ["hi"]),
    _texts("one-text-in-a-list", ["hi"], ["hi"]),
    _texts("two-texts", ["a", "b"], ["a", "b"]),
    _texts("many-texts", MANY, MANY),
    _texts("unicode", ["é ✓ 你好", "\u2028"], ["é ✓ 你好", "\u2028"]),
    _texts("long-text", "word " * 2000, ["word " * 2000]),
    _texts("as-numbers", ["a", "b"], ["a", "b"], encoding_format="float"),
    _texts("as-base64", ["a", "b"], ["a", "b"], encoding_format="base64"),
    VectorCase(
        "dimensions",
        "embedding dimensions",
        {"input": "hi", "dimensions": 2},
        1,
        ollama=Sends({"input": ["hi"], "dimensions": 2}),
        gemini=_google(["hi"], outputDimensionality=2),
    ),
    VectorCase(
        "tokens",
        "embeddings of tokens",
        {"input": [1, 2, 3]},
        1,
        ollama=Refused("input", "invalid_type"),
        gemini=Refused("input"),
    ),
    VectorCase(
        "token-arrays",
        "embeddings of tokens",
        {"input": [[1, 2], [3]]},
        2,
        ollama=Refused("input", "invalid_type"),
        gemini=Refused("input"),
    ),
    VectorCase(
        "user", "user of embeddings", {"input": "hi", "user": "u"}, 1, ollama=Refused("user"), gemini=Refused("user")
    ),
]

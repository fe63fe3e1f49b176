"""What is measured: one row a scenario. The names are those of `--only` and of the raw results."""

from typing import Final, Literal

import msgspec

CHUNKS: Final = 50
_EVENTS: Final = CHUNKS + 2  # the finish chunk and [DONE]
PACED: Final = f"paced-{CHUNKS}-20ms"
BURST: Final = f"burst-{CHUNKS}"


class Scenario(msgspec.Struct, frozen=True):
    """`requests` in one round from `callers` at once; `per` is what its CPU is divided by."""

    name: str
    callers: int
    requests: int
    per: Literal["request", "stream", "chunk"] = "request"
    model: str = "whole"
    stagger_s: float = 0.0
    once: bool = False  # measured in one round only

    @property
    def stream(self) -> bool:
        return self.per != "request"

    @property
    def events(self) -> int:
        return _EVENTS if self.stream else 0

    @property
    def units(self) -> int:
        """What one request counts for when CPU is divided."""
        return CHUNKS if self.per == "chunk" else 1


def scenarios(unary_requests: int, memory_requests: int) -> list[Scenario]:
    """All scenarios, in the order they run. Streams start spread over the second that one lasts."""
    return [
        Scenario("unary-1", 1, max(1, unary_requests // 3)),
        Scenario("unary-16", 16, unary_requests),
        Scenario("unary-64", 64, unary_requests),
        Scenario("burst-16", 16, unary_requests, "stream", BURST),
        Scenario("paced-16", 16, 64, "chunk", PACED, stagger_s=1.0),
        Scenario("paced-64", 64, 256, "chunk", PACED, stagger_s=1.0),
        Scenario("memory", 16, memory_requests, once=True),
    ]

"""What callers are told beside the answer: what is left of their limits, and what the call cost.

Callers that speak gRPC find it in the trailing metadata. HTTP callers have no trailers, so they get headers. Those go
out with the first message, never earlier: a call that fails before that must still be able to answer with its status.
"""

from typing import Any, Final

from gateway.admission.limits import headers as limits
from gateway.admission.quota import dollars
from gateway.errors import GatewayError
from gateway.telemetry.record import CallRecord

Pairs = tuple[tuple[str, str], ...]

_COST: Final = ("x-cost-usd", "x-prompt-tokens", "x-completion-tokens")
NAMES: Final = (*limits.NAMES, *_COST)
"""Of the headers of an answer, in the order in which `answer_values` tells them."""
_NO_LIMITS: Final = "," * (len(limits.NAMES) - 1)
_NO_COST: Final = "," * (len(_COST) - 1)
_LIMITED: Final = ("requests", "tokens")


def answer_values(record: CallRecord) -> str:
    """Return what is known now of `NAMES`, with commas between; nothing if nothing is.

    The limits are known once the call is let in, the cost once it is settled, which a stream is at its end.
    """
    rate_limits, cost = record.rate_limits, _cost(record)
    return f"{rate_limits or _NO_LIMITS},{cost or _NO_COST}" if rate_limits or cost else ""


def answer_pairs(record: CallRecord) -> Pairs:
    """Return the same as headers."""
    return _pairs(limits.NAMES, record.rate_limits) + cost_pairs(record)


def cost_pairs(record: CallRecord) -> Pairs:
    """Return `x-cost-usd` and the tokens, once the call is settled."""
    return _pairs(_COST, _cost(record))


def _pairs(names: tuple[str, ...], values: str) -> Pairs:
    return tuple(pair for pair in zip(names, values.split(","), strict=True) if pair[1]) if values else ()


def _cost(record: CallRecord) -> str:
    if record.cost_nano is None:
        return ""
    cost = dollars(record.cost_nano)
    if (usage := record.usage) is None:
        return f"{cost},,"
    return f"{cost},{usage.prompt_tokens},{usage.completion_tokens}"


def refusal_pairs(error: GatewayError) -> Pairs:
    """Return `x-ratelimit-*` of the limit that an error tells of; its details are those of a refusal."""
    told: Any = error.details
    metric = told.get("metric")
    if metric not in _LIMITED:
        return ()
    return (
        (f"x-ratelimit-limit-{metric}", told["limit"]),
        (f"x-ratelimit-remaining-{metric}", told["remaining"]),
        (f"x-ratelimit-reset-{metric}", limits.duration(int(told["reset_s"]) * 1000)),
    )

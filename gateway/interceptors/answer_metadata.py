"""What callers are told beside the answer: what is left of their limits, and what the call cost.

Callers that speak gRPC find it in the trailing metadata. HTTP callers have no trailers, so they get headers. Those go
out with the first message, never earlier: a call that fails before that must still be able to answer with its status.
"""

from typing import Any, Final

from gateway.admission.limits.headers import Pairs, duration, pairs
from gateway.admission.quota import dollars
from gateway.errors import GatewayError
from gateway.telemetry.record import CallRecord

_LIMITED: Final = ("requests", "tokens")


def answer_headers(record: CallRecord) -> str:
    """Return what is known now, as in a query: the limits, and the cost once the call is settled, which a stream is at
    its end.
    """
    limits, cost = record.rate_limits, _cost(record)
    return f"{limits}&{cost}" if limits and cost else limits or cost


def answer_pairs(record: CallRecord) -> Pairs:
    """Return the same headers one by one."""
    return pairs(answer_headers(record))


def cost_pairs(record: CallRecord) -> Pairs:
    """Return `x-cost-usd` and the tokens, once the call is settled."""
    return pairs(_cost(record))


def _cost(record: CallRecord) -> str:
    if record.cost_nano is None:
        return ""
    cost = f"x-cost-usd={dollars(record.cost_nano)}"
    if (usage := record.usage) is None:
        return cost
    return f"{cost}&x-prompt-tokens={usage.prompt_tokens}&x-completion-tokens={usage.completion_tokens}"


def refusal_pairs(error: GatewayError) -> Pairs:
    """Return `x-ratelimit-*` of the limit that an error tells of; its details are those of a refusal."""
    told: Any = error.details
    metric = told.get("metric")
    if metric not in _LIMITED:
        return ()
    return (
        (f"x-ratelimit-limit-{metric}", told["limit"]),
        (f"x-ratelimit-remaining-{metric}", told["remaining"]),
        (f"x-ratelimit-reset-{metric}", duration(int(told["reset_s"]) * 1000)),
    )

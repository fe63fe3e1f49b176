"""What callers are told beside the answer: what is left of their limits, and what the call cost.

Callers that speak gRPC find it in the trailing metadata. HTTP callers have no trailers, so they get headers. Those go
out with the first message, never earlier: a call that fails before that must still be able to answer with its status.
"""

from typing import Any, Final

from gateway.admission.limits.headers import Pairs, duration
from gateway.admission.quota import dollars
from gateway.errors import GatewayError
from gateway.telemetry.record import CallRecord

_LIMITED: Final = ("requests", "tokens")


def answer_pairs(record: CallRecord) -> Pairs:
    """Return what is known now: the limits, and the cost once the call is settled, which a stream is at its end."""
    return record.rate_limits + cost_pairs(record)


def cost_pairs(record: CallRecord) -> Pairs:
    """Return `x-cost-usd` and the tokens, once the call is settled."""
    if record.cost_nano is None:
        return ()
    cost = (("x-cost-usd", dollars(record.cost_nano)),)
    if record.usage is None:
        return cost
    return (
        *cost,
        ("x-prompt-tokens", str(record.usage.prompt_tokens)),
        ("x-completion-tokens", str(record.usage.completion_tokens)),
    )


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

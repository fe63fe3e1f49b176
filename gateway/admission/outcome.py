"""What a call used in the end, and who says so."""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from gateway.admission.call import CallFacts
from gateway.errors import DeadlineExceeded, GatewayError, InternalError
from gateway.storage.records import State, UsageSource
from gateway.wire.completion import Usage


class Outcome(Struct, frozen=True):
    """How a call ended. A released one used nothing."""

    state: State
    usage: Usage
    source: UsageSource


def outcome_of(
    facts: CallFacts, generated: Callable[[], int] | None, completion_bound: int, error: BaseException | None
) -> Outcome:
    """Return how a call ended. `generated` counts the tokens of what came; None if nothing did."""
    usage = facts.record.usage
    if usage is not None:
        usage = usage.whole(generates=facts.generates)
        if error is not None and generated is not None:  # it counted along the way, and broke off since
            return _counted(usage.prompt_tokens, max(usage.completion_tokens, generated()))
        return Outcome("settled", usage, "provider")
    if generated is not None:
        return _counted(facts.prompt_tokens, generated())
    if error is None:
        return _counted(facts.prompt_tokens, 0)
    if isinstance(error, asyncio.CancelledError | DeadlineExceeded | GeneratorExit):
        if facts.streams:
            return _counted(facts.prompt_tokens, 0)
        # The provider may have generated all of it, and nobody can tell.
        return Outcome("settled", _usage(facts.prompt_tokens, completion_bound), "bound")
    return Outcome("released", Usage(), "")


def reason_of(error: BaseException | None) -> str:
    """Return `OK`, `CANCELLED`, or the error table's reason."""
    if error is None:
        return "OK"
    if isinstance(error, GatewayError):
        return error.reason.value
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "CANCELLED"
    return InternalError.reason.value


def _counted(prompt: int, completion: int) -> Outcome:
    return Outcome("settled", _usage(prompt, completion), "gateway")


def _usage(prompt: int, completion: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)

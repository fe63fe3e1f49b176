"""A stream's last message, sent together with the RPC's status.

On the wire a unary answer is a stream of one message, and gRPC sends it with the status in one batch. A streaming
handler that says which message is its last has its own sent so as well. That saves a write, a wake-up and a turn of
the event loop, and Envoy a read: together about 0.08 ms of CPU a call.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from google.protobuf.message import Message

F = TypeVar("F", bound=Callable[..., Any])

_MARK: Final = "ends_with_last"


class Last(msgspec.Struct, frozen=True):
    """The message that ends a stream well."""

    message: Message


def ends_with_last(method: F) -> F:
    """Mark an async-generator method of a servicer that, unless it raises, yields a `Last` at its end."""
    setattr(method, _MARK, True)
    return method


def has_last(behavior: Any) -> bool:
    """Tell whether the method is so marked."""
    return getattr(behavior, _MARK, False) is True

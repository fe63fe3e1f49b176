"""A database that is away, as a row of the error table."""

import contextlib
from collections.abc import Iterator

from gateway.errors import Overloaded
from gateway.storage.database import OUTAGE


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Raise Overloaded for what a database raises that is away."""
    try:
        yield
    except OUTAGE as exc:
        raise Overloaded("The gateway cannot reach its database now.", retry_after=1) from exc

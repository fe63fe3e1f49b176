"""The gateway with parts that do nothing, for `bench.features`: `python -m bench.without headers|all`.

It starts as the product does; then its workers get other functions in place of those that limits, ledger and headers
are entered by. Nothing is refused, counted or stored. Log line and metrics tell of a cost as ever, which is not theirs.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, cast

import gateway.__main__
from gateway.admission import permit
from gateway.admission.admission import Admission, T
from gateway.admission.call import CallFacts
from gateway.admission.key_ring import KeyRing
from gateway.admission.price_book import Book
from gateway.config import Settings, environment, load
from gateway.dispatch import ask
from gateway.errors import GatewayError
from gateway.interceptors import base
from gateway.open_files import allow_open_files
from gateway.scheduling import prefer_throughput
from gateway.state import State
from gateway.supervisor import Plan, supervise
from gateway.telemetry.record import CallRecord

_PARTS = "BENCH_WITHOUT"


class _Permit:
    """Lets its call do anything, for a cost that nobody counts."""

    provider_key = None
    output_cap = None
    generated = None

    def __init__(self, record: CallRecord) -> None:
        self._record = record

    async def use(self, target: object) -> None: ...

    def blame(self, error: GatewayError) -> GatewayError:
        return error

    def finish(self) -> None:
        self._record.cost_nano = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()


class _Admission:
    """Lets every call in."""

    def admit(self, facts: CallFacts, targets: Sequence[T]) -> tuple[_Permit, Sequence[T]]:
        return _Permit(facts.record), targets


def _without_headers() -> None:
    _replace(permit, "headers", lambda *_standing: "")
    _replace(base, "answer_values", lambda _record: "")


def _without_all() -> None:
    serve_by = State.serve_by

    def serve_without(state: State, settings: Settings, book: Book) -> tuple[KeyRing, Admission]:
        return serve_by(state, settings, book)[0], cast("Admission", _Admission())

    _replace(State, "serve_by", serve_without)
    _replace(ask, "prompt_bound", lambda _request: 0)
    _without_headers()


def _replace(owner: object, name: str, function: Callable[..., object]) -> None:
    getattr(owner, name)  # a part that is not there any more must not be taken for one that costs nothing
    setattr(owner, name, function)


def main(arguments: Sequence[str]) -> int:
    """Start the gateway, or, in its process, a worker."""
    if arguments[0] == "serve":
        {"headers": _without_headers, "all": _without_all}[os.environ[_PARTS]]()
        return gateway.__main__.main(arguments)
    prefer_throughput()
    allow_open_files()
    variables = {**environment(), _PARTS: arguments[0]}
    return asyncio.run(supervise(load(variables), variables, Plan(module="bench.without")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

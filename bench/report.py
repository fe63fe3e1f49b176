"""Raw results to a Markdown table: medians over the rounds, with the smallest and the largest beside them."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from bench.load import Result
from bench.scenarios import CHUNKS, Scenario

DIRECT: Final = "direct"
_MIB: Final = 2**20


class Row(msgspec.Struct, frozen=True):
    """One scenario against one target in one round. `rss_before_bytes` is the target's memory when it began."""

    round: int
    scenario: str
    target: str
    result: Result
    rss_before_bytes: int = 0


_Figure = Callable[[Row, Row | None], float]


class Line(msgspec.Struct, frozen=True):
    """One line of the table: a figure of a row, beside the direct call's row of the same round where there is one."""

    title: str
    scenario: str
    figure: _Figure
    digits: int = 2
    needs_direct: bool = False


def _cpu(scenario: Scenario, scale: float) -> _Figure:
    return lambda row, _: row.result.cpu_s / (row.result.requests * scenario.units) * scale


def _added(figure: Callable[[Result], float]) -> _Figure:
    return lambda row, direct: figure(row.result) - figure(direct.result) if direct else 0.0


def lines(chosen: Iterable[Scenario]) -> list[Line]:
    """The lines that the chosen scenarios can fill, in the table's order."""
    return [line for scenario in chosen for line in _lines(scenario)]


def _lines(one: Scenario) -> list[Line]:
    name, callers = one.name, "1 caller" if one.callers == 1 else f"{one.callers} callers"
    if name == "memory":
        return [
            Line("resident memory before, MiB", name, lambda row, _: row.rss_before_bytes / _MIB, 1),
            Line(f"the same after {one.requests:,} requests", name, lambda row, _: row.result.rss_bytes / _MIB, 1),
        ]
    if one.per == "chunk":
        first = f"first chunk added, {one.callers} streams"
        return [
            Line(f"CPU a paced chunk, {one.callers} streams, µs", name, _cpu(one, 1e6), 0),
            Line(f"{first}, p50, ms", name, _added(lambda result: result.first_ms.p50), 2, needs_direct=True),
            Line(f"{first}, p99, ms", name, _added(lambda result: result.first_ms.p99), 2, needs_direct=True),
        ]
    if one.per == "stream":
        return [Line(f"CPU a stream of {CHUNKS} chunks at once, {callers}, ms", name, _cpu(one, 1e3), 3)]
    cpu = Line(f"CPU a request, {callers}, ms", name, _cpu(one, 1e3), 3)
    if one.callers > 1:
        rate = Line(f"requests a second, {callers}", name, lambda row, _: row.result.requests / row.result.seconds, 0)
        return [cpu, rate]
    return [
        cpu,
        Line("latency added, one at a time, p50, ms", name, _added(lambda r: r.latency_ms.p50), 2, needs_direct=True),
        Line("latency added, one at a time, p99, ms", name, _added(lambda r: r.latency_ms.p99), 2, needs_direct=True),
    ]


def markdown(rows: Sequence[Row], chosen: Sequence[Scenario], targets: Sequence[str]) -> str:
    """The table for the README: a line a figure, a column a target, `median (min..max)` over the rounds."""
    table = [f"| | {' | '.join(targets)} |", f"|---|{'---|' * len(targets)}"]
    for line in lines(chosen):
        cells = [_cell(line, rows, target) for target in targets]
        table.append(f"| {line.title} | {' | '.join(cells)} |")
    return "\n".join(table)


def _cell(line: Line, rows: Sequence[Row], target: str) -> str:
    direct = {row.round: row for row in rows if row.scenario == line.scenario and row.target == DIRECT}
    values = [
        line.figure(row, direct.get(row.round))
        for row in rows
        if row.scenario == line.scenario and row.target == target and (row.round in direct or not line.needs_direct)
    ]
    if not values:
        return "n/a"
    low, middle, high = (f"{value:.{line.digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low}..{high})"

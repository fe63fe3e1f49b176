"""The gateway's own counters and histograms, beside those of the client library."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gateway.telemetry.instruments import Spread, Tally

_LABELS = ("method", "provider")
_BUCKETS = (0.005, 0.5, 1, 2.5)


def page(registry: CollectorRegistry) -> list[str]:
    """Return the page's lines, without the times at which the library first saw each label."""
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


@pytest.mark.parametrize("count", [0, 1, 3], ids=lambda count: f"{count} values")
def test_a_tally_shows_what_the_library_s_counter_shows(count: int) -> None:
    """Of each label its sum; of a label that was not counted nothing."""
    own, library = CollectorRegistry(), CollectorRegistry()
    tally = Tally("calls", "Calls.", _LABELS, own)
    counter = Counter("calls", "Calls.", _LABELS, registry=library)
    for number in range(count):
        tally.add("m", f"p{number % 2}", amount=number + 0.5)
        counter.labels("m", f"p{number % 2}").inc(number + 0.5)
        tally.add("m", 'odd "\n\\')
        counter.labels("m", 'odd "\n\\').inc()

    assert page(own) == page(library)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="none"),
        pytest.param([0.0, 0.004999, 0.25, 2.0], id="within"),
        pytest.param([0.005, 0.5, 1.0, 2.5], id="on a bound"),
        pytest.param([2.500001, 1e9], id="beyond the last"),
    ],
)
def test_a_spread_shows_what_the_library_s_histogram_shows(values: list[float]) -> None:
    """A value on a bound is in that bound's bucket; buckets add up."""
    own, library = CollectorRegistry(), CollectorRegistry()
    spread = Spread("seconds", "Seconds.", _LABELS, own, buckets=_BUCKETS)
    histogram = Histogram("seconds", "Seconds.", _LABELS, buckets=_BUCKETS, registry=library)
    for value in values:
        spread.observe(value, "m", "p")
        histogram.labels("m", "p").observe(value)

    assert page(own) == page(library)

"""Counters and histograms for the event loop's thread, which alone changes them.

The client library's own take a lock at each change and look their labels up, several times a call: all of a call's cost
twice as much there.
A scrape reads these in another thread, and may see a call half counted.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Tally(Collector):
    """A counter. `labels` are the names of its labels; calls give their values in the same order."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...], registry: CollectorRegistry) -> None:
        self._name, self._documentation, self.labels = name, documentation, labels
        self._counts: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count `amount` more."""
        self._counts[labels] = self._counts.get(labels, 0) + amount

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._documentation, labels=self.labels)
        for labels, count in list(self._counts.items()):
            family.add_metric(labels, count)
        yield family


class Spread(Collector):
    """A histogram. `buckets` are the upper bounds of its buckets, in growing order, without infinity."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: tuple[str, ...],
        registry: CollectorRegistry,
        *,
        buckets: Iterable[float],
    ) -> None:
        self._name, self._documentation, self.labels = name, documentation, labels
        self._bounds: Final = (*buckets,)
        self._shown: Final = (*map(floatToGoString, self._bounds), "+Inf")
        self._seen: dict[tuple[str, ...], list[float]] = {}
        registry.register(self)

    def observe(self, value: float, *labels: str) -> None:
        """Count one value."""
        seen = self._seen.get(labels)
        if seen is None:
            seen = self._seen[labels] = [0] * len(self._shown) + [0.0]  # how many in each bucket, and the sum of all
        seen[bisect_left(self._bounds, value)] += 1
        seen[-1] += value

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=self.labels)
        for labels, seen in list(self._seen.items()):
            *counts, total = seen
            family.add_metric(labels, list(zip(self._shown, accumulate(counts), strict=True)), total)
        yield family

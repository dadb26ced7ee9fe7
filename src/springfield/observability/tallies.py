"""In charge of what is counted for every request and store call, at the price of a few additions.

Contract
    A tally is changed on the event loop alone, and read on whatever thread asks for the metrics: a sum may
    be one call behind its buckets.

Rejected
    The library's own Counter and Histogram here: with a lock and several checks each they took 6 µs of a
    read of the embedded store (60 µs), and these take 1. Everything rarer is counted with them.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class Count:
    """How often something happened."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Distribution:
    """How often a value was in each bucket, and the sum of all."""

    __slots__ = ("_bounds", "buckets", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value; one that equals a bucket's bound is in that bucket."""
        self.buckets[bisect_left(self._bounds, value)] += 1
        self.sum += value


class Counts(Collector):
    """A counter with labels."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self._family = name, text, tuple(labels)
        self._series: dict[tuple[str, ...], Count] = {}
        registry.register(self)

    def of(self, *labels: str) -> Count:
        """Return what counts for these values of the labels; the same each time."""
        return self._series.setdefault(labels, Count())

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        name, text, labels = self._family
        family = CounterMetricFamily(name, text, labels=labels)
        for values, count in tuple(self._series.items()):
            family.add_metric(values, count.value)
        yield family


class Distributions(Collector):
    """A histogram with labels; `bounds` are the upper bounds of its buckets, without infinity."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._family = name, text, tuple(labels)
        self._bounds = tuple(bounds)
        self._names = [*(str(float(bound)) for bound in bounds), "+Inf"]
        self._series: dict[tuple[str, ...], Distribution] = {}
        registry.register(self)

    def of(self, *labels: str) -> Distribution:
        """Return what counts for these values of the labels; the same each time."""
        return self._series.setdefault(labels, Distribution(self._bounds))

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        name, text, labels = self._family
        family = HistogramMetricFamily(name, text, labels=labels)
        for values, found in tuple(self._series.items()):
            buckets = zip(self._names, accumulate(found.buckets[:]), strict=True)
            family.add_metric(values, list(buckets), found.sum)
        yield family

"""In charge of numbers that are read when metrics are asked for, from whatever has them.

They are read on the thread that asks: a reader looks at one attribute, one length, or a copy (`tuple`)
of what the event loop changes, and never iterates over the thing itself.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Read = Callable[[], float]
"""Reads a number. Any thread may call it."""


@dataclass(slots=True)
class _Family:
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily]
    text: str
    labels: tuple[str, ...]
    readers: list[tuple[tuple[str, ...], Read]] = field(default_factory=list)


class Gauges(Collector):
    """A collector of the library's registry that asks its readers."""

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}

    def add(self, name: str, text: str, read: Read, **labels: str) -> None:
        """Tell what `read` gives as the gauge `name`, one of those with other `labels`."""
        self._add(GaugeMetricFamily, name, text, read, labels)

    def count(self, name: str, text: str, read: Read, **labels: str) -> None:
        """Tell what `read` gives as a counter: it never falls. Its name will end in `_total`."""
        self._add(CounterMetricFamily, name, text, read, labels)

    def collect(self) -> Iterable[Metric]:
        """Give every number as it is now."""
        for name, family in tuple(self._families.items()):
            metric = family.kind(name, family.text, labels=family.labels)
            for labels, read in tuple(family.readers):
                metric.add_metric(labels, read())
            yield metric

    def _add(
        self,
        kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
        name: str,
        text: str,
        read: Read,
        labels: dict[str, str],
    ) -> None:
        family = self._families.setdefault(name, _Family(kind, text, tuple(labels)))
        family.readers.append((tuple(labels[each] for each in family.labels), read))

"""In charge of making the metrics of several workers one: each sample gets the label `worker`."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector


def merge_metrics(texts: Mapping[str, str | None]) -> bytes:
    """Return the samples of all `texts` (by worker; None for one that did not tell), by family.

    Both are in Prometheus' text format. `springfield_worker_up` says which worker told.
    """
    registry = CollectorRegistry()
    registry.register(_Workers(texts))
    return generate_latest(registry)


class _Workers(Collector):
    def __init__(self, texts: Mapping[str, str | None]) -> None:
        self._texts = texts

    def describe(self) -> Iterable[Metric]:
        """See Collector: nothing, so that registering does not collect."""
        return []

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily(
            "springfield_worker_up",
            "Whether the worker told its metrics; 0 also while it does not run.",
            labels=["worker"],
        )
        families: dict[str, Metric] = {}
        for worker, text in self._texts.items():
            up.add_metric([worker], 0 if text is None else 1)
            for family in text_string_to_metric_families(text or ""):
                merged = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    labels = {**sample.labels, "worker": worker}
                    merged.add_sample(sample.name, labels, sample.value, sample.timestamp)
        return [up, *families.values()]

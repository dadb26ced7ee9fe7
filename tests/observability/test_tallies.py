from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from springfield.observability.tallies import Counts, Distributions

BOUNDS = (0.001, 0.25, 1, 30)
VALUES = (0.0, 0.001, 0.0011, 0.25, 1.0, 29.9, 30.0, 31.0, 1e9)


def test_they_say_what_the_librarys_own_would() -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    tallies, librarys = CollectorRegistry(), CollectorRegistry()
    ours = Distributions("seconds", "A text.", ("route", "method"), BOUNDS, tallies)
    theirs = Histogram("seconds", "A text.", ("route", "method"), buckets=BOUNDS, registry=librarys)
    for value in VALUES:
        ours.of("/a", "GET").add(value)
        theirs.labels("/a", "GET").observe(value)
    ours.of('/"b', "GET").add(0.5)
    theirs.labels('/"b', "GET").observe(0.5)
    counts = Counts("asked", "Another.", ("route",), tallies)
    counter = Counter("asked", "Another.", ("route",), registry=librarys)
    for _ in range(3):
        counts.of("/a").value += 1
        counter.labels("/a").inc()
    assert generate_latest(tallies) == generate_latest(librarys)


def test_a_series_that_was_never_counted_is_not_there() -> None:
    registry = CollectorRegistry()
    Counts("asked", "A text.", ("route",), registry)
    assert generate_latest(registry) == b"# HELP asked_total A text.\n# TYPE asked_total counter\n"

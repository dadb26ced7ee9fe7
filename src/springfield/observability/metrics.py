"""In charge of the metrics: what is counted of events, and under which names Prometheus finds it.

Contract
    A request costs about a microsecond on the loop: the series of a route, method and status is looked
    up once and kept. Labels come from the code or the settings alone, so that no request can add
    series: routes are templates, and a method beyond the known ones is OTHER.

Threads
    Events are counted on the loop (LoopBlocked on the watchdog's thread), and `render` runs on the
    admin listener's. Counters and histograms have locks of their own; tallies and gauges are read as
    `tallies.py` and `gauges.py` say.

Rejected
    The library's global registry: two services in one process (as in tests) would share it. Its
    multiprocess mode: files for every process that has ever lived; the admin listener asks the workers.
    OpenMetrics: without exemplars it says nothing more, and workers' answers are merged as text.
"""

import platform
import time
from collections.abc import Callable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from springfield import __version__
from springfield.observability.call_metrics import count_calls
from springfield.observability.events import (
    Events,
    LoopBlocked,
    LoopTurned,
    RequestFinished,
    RequestShed,
)
from springfield.observability.gauges import Gauges, Read
from springfield.observability.logs import lines_dropped
from springfield.observability.tallies import Count, Counts, Distribution, Distributions

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of durations: from a read in memory to the longest deadline."""

LAGS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

BREAKER_STATES = ("closed", "open", "half-open")

PoolNumbers = tuple[float, int, int, int]
"""Of a pool: the most that it will have, and how many are open, lent, and waited for."""

# They would double the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.gauges = Gauges()
        self.registry.register(self.gauges)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._describe_process()

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format. Any thread may."""
        return generate_latest(self.registry)

    def subscribe(self, events: Events) -> None:
        """Count from now on what happens. Once."""
        self._count_requests(events)
        shed = self._counter("requests_shed", "Requests refused as too many were in flight.")
        events.subscribe(RequestShed, lambda _: shed.inc())
        lag = self._histogram(
            "event_loop_lag_seconds", "Seconds by which the loop came late to its heartbeat.", LAGS
        )
        events.subscribe(LoopTurned, lambda event: lag.observe(event.lag))
        blocked = self._counter("event_loop_blocked", "Blockages of the event loop.")
        events.subscribe(LoopBlocked, lambda _: blocked.inc())
        count_calls(self.registry, events, SECONDS)

    def watch_pool(self, resource: str, product: str, status: Callable[[], PoolNumbers]) -> None:
        """Tell of the pool of a resource's store."""
        labels = {"resource": resource, "product": product}
        for index, (name, text) in enumerate(
            (
                ("size", "The most connections (or threads) to a store."),
                ("open", "Connections (or threads) to a store that there are."),
                ("in_use", "Connections (or threads) to a store that a call has."),
                ("waiting", "Calls that wait for a connection (or thread) to a store."),
            )
        ):
            self.gauges.add(f"springfield_pool_{name}", text, _member(status, index), **labels)

    def watch_dependency(
        self, dependency: str, state: Callable[[], str], in_use: Read, queued: Read
    ) -> None:
        """Tell of a dependency's breaker (closed, open or half-open) and its bulkhead."""
        for each in BREAKER_STATES:
            self.gauges.add(
                "springfield_breaker_state",
                "1 for the state that the breaker is in.",
                _equals(state, each),
                dependency=dependency,
                state=each,
            )
        for name, text, read in (
            ("in_use", "Calls that are in the bulkhead.", in_use),
            ("queued", "Calls that wait for a place in the bulkhead.", queued),
        ):
            self.gauges.add(f"springfield_bulkhead_{name}", text, read, dependency=dependency)

    def _count_requests(self, events: Events) -> None:
        requests = Counts(
            "springfield_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            self.registry,
        )
        durations = Distributions(
            "springfield_http_request_duration_seconds",
            "Seconds that a request took, without what it wished to wait for a change.",
            ("method", "route"),
            SECONDS,
            self.registry,
        )
        known: dict[tuple[str, str, int], tuple[Count, Distribution]] = {}

        def count(event: RequestFinished) -> None:
            method = event.method if event.method in METHODS else "OTHER"
            key = method, event.route, event.status
            series = known.get(key)
            if series is None:
                series = known[key] = (
                    requests.of(method, event.route, str(event.status)),
                    durations.of(method, event.route),
                )
            series[0].value += 1
            series[1].add(event.seconds - event.waited)

        events.subscribe(RequestFinished, count)

    def _describe_process(self) -> None:
        started = time.monotonic()
        build = {"version": __version__, "python": platform.python_version()}
        self.gauges.add("springfield_build_info", "What runs; always 1.", lambda: 1, **build)
        self.gauges.add(
            "springfield_uptime_seconds",
            "Seconds since the start.",
            lambda: time.monotonic() - started,
        )
        self.gauges.count(
            "springfield_log_lines_dropped", "Log lines that could not be written.", lines_dropped
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"springfield_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, bounds: Sequence[float], *labels: str) -> Histogram:
        return Histogram(
            f"springfield_{name}", text, labels, registry=self.registry, buckets=bounds
        )


def _member(status: Callable[[], PoolNumbers], index: int) -> Read:
    return lambda: status()[index]


def _equals(state: Callable[[], str], name: str) -> Read:
    return lambda: state() == name

"""In charge of what is counted of calls: to stores, to upstreams, and what the policies made of them.

Their labels are resources, products, operations and error codes: all of the code or of the settings.
"""

import asyncio
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from springfield.observability.events import (
    BreakerChanged,
    CallRejected,
    CallRetried,
    Events,
    StoreCallFinished,
    UpstreamCallFinished,
)
from springfield.observability.tallies import Distribution, Distributions

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def count_calls(registry: CollectorRegistry, events: Events, seconds: Sequence[float]) -> None:
    """Count calls from now on; `seconds` are the upper bounds of their durations."""
    _count_store_calls(registry, events, seconds)
    _count_upstream_calls(registry, events, seconds)
    _count_policies(registry, events)


def _count_store_calls(
    registry: CollectorRegistry, events: Events, seconds: Sequence[float]
) -> None:
    labels = ("resource", "product", "operation")
    durations = Distributions(
        "springfield_store_call_duration_seconds",
        "Seconds that an attempt to call a store took.",
        labels,
        seconds,
        registry,
    )
    batches = Distributions(
        "springfield_store_call_batch_size",
        "Names that a call to a store was about.",
        labels,
        BATCHES,
        registry,
    )
    errors = Counter(
        "springfield_store_call_errors",
        "Attempts to call a store that failed.",
        (*labels, "error"),
        registry=registry,
    )
    known: dict[tuple[str, str, str], tuple[Distribution, Distribution]] = {}

    def count(event: StoreCallFinished) -> None:
        key = event.resource, event.product, event.operation
        series = known.get(key)
        if series is None:
            series = known[key] = durations.of(*key), batches.of(*key)
        series[0].add(event.seconds)
        series[1].add(event.names)
        if event.error is not None:
            errors.labels(*key, _code_of(event.error)).inc()

    events.subscribe(StoreCallFinished, count)


def _count_upstream_calls(
    registry: CollectorRegistry, events: Events, seconds: Sequence[float]
) -> None:
    durations = Histogram(
        "springfield_upstream_call_duration_seconds",
        "Seconds that an attempt to call an upstream took.",
        ("upstream",),
        buckets=seconds,
        registry=registry,
    )
    errors = Counter(
        "springfield_upstream_call_errors",
        "Attempts to call an upstream that failed.",
        ("upstream", "error"),
        registry=registry,
    )

    def count(event: UpstreamCallFinished) -> None:
        durations.labels(event.upstream).observe(event.seconds)
        if event.error is not None:
            errors.labels(event.upstream, _code_of(event.error)).inc()

    events.subscribe(UpstreamCallFinished, count)


def _count_policies(registry: CollectorRegistry, events: Events) -> None:
    retries = Counter(
        "springfield_retries",
        "Calls that were repeated.",
        ("dependency", "operation"),
        registry=registry,
    )
    rejections = Counter(
        "springfield_calls_rejected",
        "Calls that were not tried: the breaker was open, or the bulkhead full.",
        ("dependency", "reason"),
        registry=registry,
    )
    changes = Counter(
        "springfield_breaker_changes",
        "Changes of a breaker to a state.",
        ("dependency", "state"),
        registry=registry,
    )
    events.subscribe(CallRetried, lambda e: retries.labels(e.dependency, e.operation).inc())
    events.subscribe(CallRejected, lambda e: rejections.labels(e.dependency, e.reason).inc())
    events.subscribe(BreakerChanged, lambda e: changes.labels(e.dependency, e.state).inc())


def _code_of(error: BaseException) -> str:
    """Return the error's stable code; what has none is a defect, or was cancelled."""
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    code = getattr(error, "code", None)
    return code if isinstance(code, str) else "defect"

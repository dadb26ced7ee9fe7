"""Spans of events that are published by hand, through the real exporter to a collector."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from springfield.errors import Unavailable
from springfield.observability.events import (
    Events,
    RequestFinished,
    StoreCallFinished,
    UpstreamCallFinished,
)
from springfield.observability.trace_context import current, sharing, trace_context_of
from springfield.observability.traces import open_traces
from tests.observability.collector import FakeCollector

SERVER, CLIENT = 2, 3
PARENT = f"00-{'a' * 32}-{'b' * 16}-01"
ROUTE = "/api/v1/homers/{name}"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCollector]:
    with FakeCollector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        yield collector


async def test_a_request_and_its_calls_are_spans_of_one_trace(collector: FakeCollector) -> None:
    request = trace_context_of(PARENT, "vendor=1")
    current.set(request)
    events = Events()
    now = time.monotonic()
    call = request.child()
    async with open_traces(events, "1.2.3"):
        events.publish(StoreCallFinished("homers", "MongoDB", "read", 7, now - 3, 1.5, None))
        events.publish(UpstreamCallFinished("weather", now - 1, 0.5, None, call))
        events.publish(RequestFinished("GET", ROUTE, "/api/v1/homers/x", 200, 12, 4.0, request))
    (server,) = collector.named("GET /api/v1/homers/{name}")
    (store,) = collector.named("read homers")
    (upstream,) = collector.named("GET weather")
    assert len(collector.spans) == 3
    assert (server.kind, server.trace_id, server.span_id) == (SERVER, "a" * 32, request.span_id)
    assert (server.parent_id, server.state, server.status) == ("b" * 16, "vendor=1", 0)
    assert server.attributes == {
        "http.request.method": "GET",
        "http.route": ROUTE,
        "url.path": "/api/v1/homers/x",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "http.response.body.size": 12,
    }
    assert (store.kind, store.parent_id, store.trace_id) == (CLIENT, request.span_id, "a" * 32)
    assert store.attributes == {
        "db.system.name": "mongodb",
        "db.operation.name": "read",
        "db.operation.batch.size": 7,
        "springfield.resource": "homers",
    }
    assert (upstream.kind, upstream.parent_id) == (CLIENT, request.span_id)
    assert upstream.span_id == call.span_id
    assert server.start < store.start < store.end < upstream.start < upstream.end < server.end
    assert store.end - store.start == pytest.approx(1.5e9, abs=10)
    assert {"service.name": "springfield", "service.version": "1.2.3"}.items() <= (
        server.resource.items()
    )


async def test_a_call_for_several_requests_is_a_child_of_one_and_linked_to_the_others(
    collector: FakeCollector,
) -> None:
    first, *others = [trace_context_of("") for _ in range(3)]
    events = Events()
    async with open_traces(events, "1"):
        current.set(first)
        sharing.set(others)
        events.publish(StoreCallFinished("homers", "MongoDB", "read", 3, 0.0, 0.1, None))
    (call,) = collector.spans
    assert (call.trace_id, call.parent_id) == (first.trace_id, first.span_id)
    assert call.links == [each.span_id for each in others]


async def test_errors_are_recorded_by_type_and_nothing_of_anothers_text(
    collector: FakeCollector,
) -> None:
    request = trace_context_of(PARENT)
    current.set(request)
    events = Events()
    down = Unavailable("The store is away.")
    down.__cause__ = OSError("mongodb://root:hunter2@db")
    async with open_traces(events, "1"):
        events.publish(StoreCallFinished("homers", "MongoDB", "read", 1, 0.0, 0.1, down))
        cancelled = asyncio.CancelledError()
        events.publish(StoreCallFinished("homers", "MongoDB", "stat", 1, 0.0, 0.1, cancelled))
        for status, error in ((503, down), (500, ValueError("hunter2")), (503, None), (404, down)):
            events.publish(
                RequestFinished("GET", f"/{status}", "/x", status, 0, 0.1, request, error=error)
            )
    (call,), (given_up,) = collector.named("read homers"), collector.named("stat homers")
    kind = "springfield.errors.Unavailable"
    told = {
        "name": "exception",
        "exception.type": kind,
        "exception.message": "The store is away.",
        "springfield.cause": "OSError",
    }
    assert (call.status, call.attributes["error.type"], call.events) == (2, kind, [told])
    assert (given_up.status, given_up.attributes["springfield.cancelled"]) == (0, True)
    failed, bare = collector.named("GET /503")
    assert (failed.status, failed.attributes["error.type"], failed.events) == (2, kind, [told])
    assert (bare.status, bare.attributes["error.type"], bare.events) == (2, "503", [])
    (defect,), (missing,) = collector.named("GET /500"), collector.named("GET /404")
    assert (defect.status, defect.attributes["error.type"]) == (2, "ValueError")
    assert (missing.status, "error.type" in missing.attributes) == (0, False)
    assert "hunter2" not in str(collector.spans)


async def test_no_span_is_named_after_what_a_client_made_up(collector: FakeCollector) -> None:
    events, trace = Events(), trace_context_of("")
    async with open_traces(events, "1"):
        events.publish(RequestFinished("HACK", "(none)", "/secret", 404, 0, 0.1, trace))
        events.publish(RequestFinished("GET", "(none)", "/secret", 404, 0, 0.1, trace))
    odd, plain = collector.spans
    assert (odd.name, plain.name) == ("HTTP", "GET")
    assert odd.attributes["http.request.method"] == "_OTHER"
    assert odd.attributes["http.request.method_original"] == "HACK"
    assert "http.route" not in plain.attributes
    assert plain.parent_id == ""


UNSAMPLED = PARENT.removesuffix("01") + "00"


@pytest.mark.parametrize(
    ("sampler", "parent", "is_recorded"),
    [
        ("", "", True),
        ("", PARENT, True),
        ("", UNSAMPLED, False),
        ("parentbased_always_off", "", False),
        ("parentbased_always_off", PARENT, True),
        ("always_off", PARENT, False),
        ("always_on", UNSAMPLED, True),
        ("parentbased_traceidratio 0", "", False),
        ("parentbased_traceidratio 1", "", True),
        ("parentbased_traceidratio 0", PARENT, True),
        ("parentbased_traceidratio 1", UNSAMPLED, False),
    ],
)
async def test_the_standard_sampler_decides_at_the_beginning(
    collector: FakeCollector,
    monkeypatch: pytest.MonkeyPatch,
    sampler: str,
    parent: str,
    is_recorded: bool,
) -> None:
    name, _, ratio = sampler.partition(" ")
    if name:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
    if ratio:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    events = Events()
    async with open_traces(events, "1") as decide:
        request = trace_context_of(parent, "", decide)
        current.set(request)
        events.publish(StoreCallFinished("homers", "MongoDB", "read", 1, 0.0, 0.1, None))
        events.publish(UpstreamCallFinished("weather", 0.0, 0.1, None, request.child()))
        events.publish(RequestFinished("GET", ROUTE, "/x", 200, 0, 0.1, request))
    assert request.is_sampled == is_recorded
    assert len(collector.spans) == (3 if is_recorded else 0)


async def test_a_dead_collector_delays_nothing_beyond_the_bound(
    collector: FakeCollector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("springfield.observability.traces.FLUSH_TIMEOUT", 0.2)
    collector.is_dead = True
    events, trace = Events(), trace_context_of("")
    async with open_traces(events, "1"):
        for _ in range(10_000):  # beyond the queue: dropped, not waited for
            events.publish(RequestFinished("GET", ROUTE, "/x", 200, 0, 0.1, trace))
        started = time.monotonic()
    assert time.monotonic() - started < 5
    assert "could not be exported" in caplog.text


async def test_the_operators_name_for_the_service_wins(
    collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shelbyville")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    events = Events()
    async with open_traces(events, "1"):
        events.publish(RequestFinished("GET", ROUTE, "/x", 200, 0, 0.1, trace_context_of("")))
    (span,) = collector.spans
    assert span.resource["service.name"] == "shelbyville"
    assert span.resource["deployment.environment.name"] == "test"

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from springfield import __version__
from springfield.errors import OutcomeUnknown
from springfield.observability.events import (
    BreakerChanged,
    CallRejected,
    CallRetried,
    Events,
    LoopBlocked,
    LoopTurned,
    RequestFinished,
    RequestShed,
    StoreCallFinished,
    UpstreamCallFinished,
)
from springfield.observability.metrics import Metrics
from springfield.observability.trace_context import trace_context_of

TRACE = trace_context_of("")


def samples(metrics: Metrics) -> dict[str, float]:
    """All samples by `name{label="value",…}`, labels in order of name, without the library's own."""
    found = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            if sample.name.startswith("springfield_"):
                labels = ",".join(
                    f"{name}={value}" for name, value in sorted(sample.labels.items())
                )
                found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


@pytest.fixture
def told() -> tuple[Events, Metrics]:
    events, metrics = Events(), Metrics()
    metrics.subscribe(events)
    return events, metrics


def finished(method: str, status: int, seconds: float, waited: float = 0.0) -> RequestFinished:
    return RequestFinished(method, "/x/{name}", "/x/y", status, 3, seconds, TRACE, waited=waited)


def test_requests_are_counted_by_method_route_and_status(told: tuple[Events, Metrics]) -> None:
    events, metrics = told
    for _ in range(3):
        events.publish(finished("GET", 200, 0.003))
    events.publish(finished("GET", 404, 0.003))
    events.publish(finished("POST", 204, 0.3))
    found = samples(metrics)
    name, route = "springfield_http_requests_total", "route=/x/{name}"
    assert found[f"{name}{{method=GET,{route},status=200}}"] == 3
    assert found[f"{name}{{method=GET,{route},status=404}}"] == 1
    assert found[f"{name}{{method=POST,{route},status=204}}"] == 1
    name = "springfield_http_request_duration_seconds"
    assert found[f"{name}_count{{method=GET,{route}}}"] == 4
    assert found[f"{name}_bucket{{le=0.0025,method=GET,{route}}}"] == 0
    assert found[f"{name}_bucket{{le=0.005,method=GET,{route}}}"] == 4


def test_what_a_client_wished_to_wait_is_no_duration(told: tuple[Events, Metrics]) -> None:
    events, metrics = told
    events.publish(finished("GET", 304, 30.003, 30.0))
    name = "springfield_http_request_duration_seconds_bucket"
    assert samples(metrics)[f"{name}{{le=0.005,method=GET,route=/x/{{name}}}}"] == 1


def test_methods_that_nobody_knows_are_one_series(told: tuple[Events, Metrics]) -> None:
    events, metrics = told
    events.publish(finished("BREW", 405, 0.001))
    before = samples(metrics)
    for number in range(1000):
        events.publish(finished(f"BREW{number}", 405, 0.001))
    after = samples(metrics)
    assert before.keys() == after.keys()
    name = "springfield_http_requests_total{method=OTHER,route=/x/{name},status=405}"
    assert (before[name], after[name]) == (1, 1001)


def test_calls_and_what_the_policies_made_of_them_are_counted(
    told: tuple[Events, Metrics],
) -> None:
    events, metrics = told
    error = OutcomeUnknown("lost")
    for event in (
        StoreCallFinished("lisas", "MySQL", "read", 20, 0.0, 0.02, None),
        StoreCallFinished("lisas", "MySQL", "write", 1, 0.0, 0.02, error),
        StoreCallFinished("lisas", "MySQL", "read", 1, 0.0, 0.02, asyncio.CancelledError()),
        StoreCallFinished("lisas", "MySQL", "read", 1, 0.0, 0.02, KeyError("name")),
        UpstreamCallFinished("weather", 0.0, 0.2, None, TRACE),
        UpstreamCallFinished("weather", 0.0, 0.2, error, TRACE),
        CallRetried("lisas", "read", 1, 0.1, error),
        BreakerChanged("lisas", "open", error),
        CallRejected("lisas", "breaker"),
        RequestShed(2000),
        LoopTurned(0.02),
        LoopBlocked(1.0, "stack"),
    ):
        events.publish(event)
    found = samples(metrics)
    call = "operation=read,product=MySQL,resource=lisas"
    errors = "springfield_store_call_errors_total"
    assert found[f"springfield_store_call_duration_seconds_count{{{call}}}"] == 3
    assert found[f"springfield_store_call_batch_size_sum{{{call}}}"] == 22
    assert found[f"{errors}{{error=cancelled,{call}}}"] == 1
    assert found[f"{errors}{{error=defect,{call}}}"] == 1
    written = call.replace("read", "write")
    assert found[f"{errors}{{error=outcome-unknown,{written}}}"] == 1
    upstream = "springfield_upstream_call"
    assert found[f"{upstream}_duration_seconds_count{{upstream=weather}}"] == 2
    assert found[f"{upstream}_errors_total{{error=outcome-unknown,upstream=weather}}"] == 1
    assert found["springfield_retries_total{dependency=lisas,operation=read}"] == 1
    assert found["springfield_breaker_changes_total{dependency=lisas,state=open}"] == 1
    assert found["springfield_calls_rejected_total{dependency=lisas,reason=breaker}"] == 1
    assert found["springfield_requests_shed_total{}"] == 1
    assert found["springfield_event_loop_blocked_total{}"] == 1
    assert found["springfield_event_loop_lag_seconds_count{}"] == 1


def test_gauges_are_read_when_they_are_asked_for() -> None:
    metrics = Metrics()
    state, used = "closed", 3
    metrics.watch_dependency("lisas", lambda: state, lambda: used, lambda: 0)
    metrics.watch_dependency("marges", lambda: "open", lambda: 0, lambda: 7)
    metrics.watch_pool("lisas", "MySQL", lambda: (16, 5, used, 1))
    found = samples(metrics)
    assert found["springfield_breaker_state{dependency=lisas,state=closed}"] == 1
    assert found["springfield_breaker_state{dependency=lisas,state=open}"] == 0
    assert found["springfield_breaker_state{dependency=marges,state=open}"] == 1
    assert found["springfield_bulkhead_queued{dependency=marges}"] == 7
    pool = "{product=MySQL,resource=lisas}"
    numbers = [found[f"springfield_pool_{n}{pool}"] for n in ("size", "open", "in_use", "waiting")]
    assert numbers == [16, 5, 3, 1]
    state, used = "half-open", 4
    found = samples(metrics)
    assert found["springfield_breaker_state{dependency=lisas,state=half-open}"] == 1
    assert found["springfield_pool_in_use" + pool] == 4


def test_each_service_has_metrics_of_its_own_and_says_what_it_is() -> None:
    first, second = Metrics(), Metrics()
    first.gauges.add("springfield_first", "Only here.", lambda: 1)
    assert "springfield_first{}" in samples(first)
    assert "springfield_first{}" not in samples(second)
    (build,) = [key for key in samples(second) if key.startswith("springfield_build_info")]
    assert f"version={__version__}" in build
    assert samples(second)["springfield_uptime_seconds{}"] >= 0
    assert b"process_resident_memory_bytes" in second.render()

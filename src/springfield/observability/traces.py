"""In charge of traces: spans in OpenTelemetry's form, made of the events that everybody hears.

The only file that names OpenTelemetry; imported when tracing is on, and only then. A span is made when
its event comes, with the ids that were given out when the work began: so the ids in logs and problems
are the spans'.
"""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
)
from opentelemetry.trace import set_span_in_context as within
from opentelemetry.trace.status import Status, StatusCode

from springfield.observability.events import (
    Events,
    RequestFinished,
    StoreCallFinished,
    UpstreamCallFinished,
)
from springfield.observability.spans import Span, of_request, of_store_call, of_upstream_call
from springfield.observability.trace_context import Sampler, TraceContext, current, sharing

FLUSH_TIMEOUT = 3.0
"""Seconds that the last spans may take when the service stops."""

log = logging.getLogger("springfield.traces")


class _GivenIds(IdGenerator):
    """Gives the next span the ids that are set; spans begin and end on one thread, the loop's."""

    trace_id = 0
    span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class Traces:
    """Spans of requests, store calls and upstream calls.

    Contract: a request is recorded if the sampler of `OTEL_TRACES_SAMPLER` says so at its beginning
    (`samples`), by default as its client does; what is done on its behalf is recorded with it.
    Order: exported in batches by a thread; a span too many is dropped.
    """

    def __init__(self, exporter: SpanExporter, version: str) -> None:
        self._ids = _GivenIds()
        # shutdown_on_exit would wait for a dead collector without our bound
        self._provider = TracerProvider(
            resource=_resource(version), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("springfield", version)

    def follow(self, events: Events) -> None:
        """Make spans of what happens from now on."""
        events.subscribe(RequestFinished, self._request)
        events.subscribe(StoreCallFinished, self._store_call)
        events.subscribe(UpstreamCallFinished, self._upstream_call)

    def samples(self, trace: TraceContext) -> bool:
        """Return whether a request that begins is recorded."""
        parent, trace_id = _parent_of(trace, is_remote=True), int(trace.trace_id, 16)
        decided = self._provider.sampler.should_sample(parent, trace_id, "", SpanKind.SERVER)
        return decided.decision is Decision.RECORD_AND_SAMPLE

    async def flush(self, timeout: float) -> None:
        """Export what is left, for `timeout` seconds at most, and stop; never raises."""
        loop, is_done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop has not waited so long
                loop.call_soon_threadsafe(is_done.set)

        # Not a thread of the loop's pool: those are waited for at exit, without a bound.
        threading.Thread(target=shut_down, name="trace flush", daemon=True).start()
        try:
            async with asyncio.timeout(timeout):
                await is_done.wait()
        except TimeoutError:
            log.warning("the last spans could not be exported within %g s", timeout)

    def _request(self, event: RequestFinished) -> None:
        if event.trace.is_sampled:
            self._record(of_request(event))

    def _store_call(self, event: StoreCallFinished) -> None:
        request = current.get()
        if request is not None and request.is_sampled:
            self._record(of_store_call(event, request, sharing.get()))

    def _upstream_call(self, event: UpstreamCallFinished) -> None:
        if event.trace.is_sampled:
            self._record(of_upstream_call(event))

    def _record(self, work: Span) -> None:
        trace = work.trace
        self._ids.trace_id, self._ids.span_id = int(trace.trace_id, 16), int(trace.span_id, 16)
        span = self._tracer.start_span(
            work.name,
            _parent_of(trace, is_remote=work.is_server),
            SpanKind.SERVER if work.is_server else SpanKind.CLIENT,
            work.attributes,
            [Link(_span_context(each, each.span_id, is_remote=False)) for each in work.links],
            start_time=work.end - int(work.seconds * 1e9),
        )
        if work.failure is not None:
            span.set_attribute("error.type", work.failure["error.type"])
            span.set_status(Status(StatusCode.ERROR, work.failure.get("exception.message")))
            if "exception.type" in work.failure:
                told = {key: text for key, text in work.failure.items() if key != "error.type"}
                span.add_event("exception", told, work.end)
        span.end(work.end)


@asynccontextmanager
async def open_traces(events: Events, version: str) -> AsyncIterator[Sampler]:
    """Export spans by OTLP/HTTP, as the `OTEL_…` variables say; leaving the context flushes.

    Yields what decides whether a request is recorded.
    """
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if (protocol := os.environ.get(variable, "http/protobuf")) != "http/protobuf":
            log.warning("%s=%s is not spoken here: traces go by http/protobuf", variable, protocol)
    traces = Traces(OTLPSpanExporter(), version)
    traces.follow(events)
    try:
        yield traces.samples
    finally:
        await traces.flush(FLUSH_TIMEOUT)


def _resource(version: str) -> Resource:
    """Return who we are; what the operator says in `OTEL_…` variables wins."""
    ours = {"service.name": "springfield", "service.version": version}
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


def _parent_of(trace: TraceContext, *, is_remote: bool) -> Context:
    """Return the context of the parent; an empty one without a parent."""
    if trace.parent_id is None:
        return Context()
    part = _span_context(trace, trace.parent_id, is_remote=is_remote)
    return within(NonRecordingSpan(part), Context())


def _span_context(trace: TraceContext, span_id: str, *, is_remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if trace.is_sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([trace.state]) if trace.state else None
    return SpanContext(int(trace.trace_id, 16), int(span_id, 16), is_remote, flags, state)

"""In charge of the real application in the test's process, its traffic, and its metrics."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from tornado.testing import bind_unused_port

from springfield.assembly import assemble
from springfield.configuration import load_settings
from springfield.errors import OutcomeUnknown
from springfield.observability.events import (
    BreakerChanged,
    CallRejected,
    CallRetried,
    LoopBlocked,
    RequestShed,
    StoreCallFinished,
    UpstreamCallFinished,
)
from springfield.observability.telemetry import Telemetry, observing
from springfield.observability.trace_context import trace_context_of
from springfield.server.engines import EngineName, make_engine
from springfield.server.limits import Limits
from springfield.server.serving import watch_connections
from springfield.server.worker_metrics import merge_metrics
from springfield.web.routes import make_app


@asynccontextmanager
async def served(directory: Path, engine: EngineName) -> AsyncIterator[tuple[Telemetry, int]]:
    """Serve the embedded default; give what is told of it, and its port."""
    settings = load_settings({"data_dir": str(directory)}, None).settings
    async with AsyncExitStack() as stack:
        telemetry = stack.enter_context(observing(60.0, 60.0))
        service = await stack.enter_async_context(assemble(settings, telemetry))
        server = make_engine(engine, make_app(service), Limits())
        listener, port = bind_unused_port()
        await server.start([listener])
        stack.push_async_callback(server.close_all_connections)
        stack.callback(server.stop_listening)
        watch_connections(telemetry.metrics, server)
        yield telemetry, port


async def ask(port: int, heads: Sequence[str]) -> list[int]:
    """Send the requests on one connection, pipelined, and return the statuses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = []
    for start in range(0, len(heads), 500):
        part = heads[start : start + 500]
        writer.writelines(f"{h} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for h in part)
        for _ in part:
            head = await reader.readuntil(b"\r\n\r\n")
            statuses.append(int(head[9:12]))
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
    writer.close()
    await writer.wait_closed()
    return statuses


async def everything(directory: Path) -> list[Metric]:
    """Return a scrape after traffic, and after each event that is counted."""
    async with served(directory, "httptools") as (telemetry, port):
        assert await ask(port, ["GET /api/v1/bart", "GET /nowhere"]) == [404, 404]
        error = OutcomeUnknown("lost")
        for event in (
            StoreCallFinished("lisas", "MySQL", "write", 1, 0.0, 0.02, error),
            UpstreamCallFinished("weather", 0.0, 0.2, error, trace_context_of("")),
            CallRetried("lisas", "read", 1, 0.1, error),
            BreakerChanged("lisas", "open", error),
            CallRejected("lisas", "breaker"),
            RequestShed(2000),
            LoopBlocked(1.0, "stack"),
        ):
            telemetry.events.publish(event)
        telemetry.metrics.watch_dependency("lisas", lambda: "open", lambda: 0, lambda: 0)
        rendered = telemetry.metrics.render().decode()
        families = list(text_string_to_metric_families(rendered))
        merged = merge_metrics(
            {"0": None, "1": rendered}
        ).decode()  # the front's own is in no worker
        return [
            *families,
            *(
                family
                for family in text_string_to_metric_families(merged)
                if family.name == "springfield_worker_up"
            ),
        ]

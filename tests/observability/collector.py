"""In charge of standing in for a collector of traces: OTLP over HTTP, on a local socket."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Received:
    """A span as it came over the wire."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    attributes: dict[str, object]
    resource: dict[str, object]
    status: int
    """0 unset, 2 an error."""
    events: list[dict[str, object]]
    links: list[str]
    """The ids of the spans that it is linked to."""
    start: int
    end: int


class FakeCollector:
    """Keeps all spans that it is sent; while `is_dead` is set it accepts and never answers."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.is_dead = False
        self._closing = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if fake.is_dead:
                    fake._closing.wait(30)
                    return
                assert self.path == "/v1/traces"
                fake.spans += decode(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def named(self, name: str) -> list[Received]:
        return [span for span in self.spans if span.name == name]


def decode(body: bytes) -> list[Received]:
    return [
        Received(
            span.name,
            span.kind,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.trace_state,
            plain(span.attributes),
            plain(resource.resource.attributes),
            span.status.code,
            [{"name": event.name, **plain(event.attributes)} for event in span.events],
            [link.span_id.hex() for link in span.links],
            span.start_time_unix_nano,
            span.end_time_unix_nano,
        )
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def plain(attributes: Any) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}

"""In charge of refusing requests while too many are in flight, at a fraction of a request's cost.

Contract
    Beyond `limit` requests in flight a request is answered 503 `overloaded` with a `Retry-After`,
    before a handler is made for it and without its body being read. Who waits for a change
    (`Prefer: wait`) is not counted, and health is asked whatever the load.

Order
    Around the application, inside of the engine. Below the limit it costs one comparison.

Defaults
    `max_requests`, 2,000 a process: what one core answers in about a second.

Rejected
    A refusal in the handler's `prepare`: it costs Tornado's request and handler objects, about half
    of a small request; at five times the capacity refusals would take most of the time.
    A refusal alone: a client that ignores Retry-After sends the next request at once, and gets all
    of the CPU in refusals. So its connection is not read again before a moment has passed, and what
    it sends waits in the kernel, where it costs nothing.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from springfield.observability.events import Events, RequestShed
from springfield.observability.trace_context import trace_context_of
from springfield.web.problems import CODES, MEDIA_TYPE, Problem
from springfield.web.traffic import Traffic

EXEMPT = frozenset({"/api/v1/healthcheck"})
"""Paths that are answered whatever the load."""

REST = (0.5, 1.5)
"""Seconds for which the connection of a refused request is not read: between these, by chance, so
that a herd spreads. At one second, 5,000 clients that ask again at once cost 5,000 refusals a second,
a tenth of a core."""

RETRY_AFTER = (1, 3)
"""Seconds for Retry-After (RFC 9110, section 10.2.3): between these, likewise."""

log = logging.getLogger("springfield.web")


class Admission(HTTPServerConnectionDelegate):
    """An application that takes so many requests at a time, and refuses the others."""

    def __init__(
        self,
        application: HTTPServerConnectionDelegate,
        traffic: Traffic,
        events: Events,
        limit: int,
    ) -> None:
        self.limit = limit
        """The most requests in flight; may be changed at any time."""
        self._application = application
        self._traffic = traffic
        self._events = events
        self._refused = 0

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """See HTTPServerConnectionDelegate."""
        if self._traffic.active < self.limit:
            return self._application.start_request(server_conn, request_conn)
        return _Refusal(self, server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        """See HTTPServerConnectionDelegate."""
        self._application.on_close(server_conn)

    def let_in(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Return the application's delegate, whatever the load."""
        return self._application.start_request(server_conn, request_conn)

    def refused(self) -> None:
        """Take note of a refusal: an event each, and a line a second."""
        self._events.publish(RequestShed(self._traffic.active))
        self._refused += 1
        if self._refused == 1:
            asyncio.get_running_loop().call_later(1.0, self._tell)

    def headers(self, body: bytes) -> HTTPHeaders:
        """Return the header of a refusal."""
        headers = HTTPHeaders(
            {
                "Server": "springfield",
                "Content-Type": MEDIA_TYPE,
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
                "Content-Length": str(len(body)),
                "Retry-After": str(random.randint(*RETRY_AFTER)),  # noqa: S311 - to spread a herd
            }
        )
        if self._traffic.is_draining:
            headers["Connection"] = "close"
        return headers

    def _tell(self) -> None:
        log.warning(
            "%d requests were refused within a second: %d were in flight already (max_requests)",
            self._refused,
            self.limit,
        )
        self._refused = 0


class _Refusal(HTTPMessageDelegate):
    """A request that came too late, unless it is one that is always answered."""

    def __init__(
        self, admission: Admission, server_conn: object, connection: HTTPConnection
    ) -> None:
        self._admission = admission
        self._server_conn = server_conn
        self._connection: Any = connection  # `rest` and `lingers` are our engine's
        self._delegate: HTTPMessageDelegate | None = None

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        assert isinstance(start_line, RequestStartLine)
        path = start_line.path.partition("?")[0]
        if path in EXEMPT:
            self._delegate = self._admission.let_in(self._server_conn, self._connection)
            return self._delegate.headers_received(start_line, headers)
        self._answer(start_line.method, path, headers)
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return None if self._delegate is None else self._delegate.data_received(chunk)

    def finish(self) -> None:
        if self._delegate is not None:
            self._delegate.finish()

    def on_connection_close(self) -> None:
        if self._delegate is not None:
            self._delegate.on_connection_close()

    def _answer(self, method: str, path: str, received: HTTPHeaders) -> None:
        self._admission.refused()
        trace = trace_context_of(received.get("Traceparent", ""))
        status = CODES["overloaded"].status
        detail = "The service has too many requests in flight; nothing was done. Ask again later."
        body = Problem("overloaded", status, detail).body(path, trace.trace_id)
        headers = self._admission.headers(body)
        if getattr(self._connection, "lingers", False):
            self._connection.rest(random.uniform(*REST))  # noqa: S311 - to spread a herd
        else:  # Tornado's engine does not read the body away
            headers["Connection"] = "close"
        start_line = ResponseStartLine("HTTP/1.1", status, HTTPStatus(status).phrase)
        _ = self._connection.write_headers(start_line, headers, b"" if method == "HEAD" else body)
        self._connection.finish()

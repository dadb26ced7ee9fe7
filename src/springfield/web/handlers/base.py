"""In charge of what every handler does: safety, methods, bodies with a limit, problems.

Bodies are streamed to `take`, so that a request is refused before it is read, with a real answer.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError

from springfield.errors import SpringfieldError, StoreError, UpstreamError
from springfield.observability.events import RequestStarted
from springfield.observability.trace_context import current, trace_context_of
from springfield.resilience.deadline import deadline
from springfield.resources import too_large
from springfield.web.answering import Answering
from springfield.web.conditions import deadline_of
from springfield.web.parameters import BROKEN_ESCAPE
from springfield.web.problems import MEDIA_TYPE, HTTPRefusal, Problem, problem_of
from springfield.web.request import Request
from springfield.web.safety import READS

LINGER = 8 * 1024 * 1024
"""Bytes of a refused body that are still read, so that the answer reaches a client that is
sending: closing a socket with unread data resets the connection, and the answer is lost."""

STRAY_BODY_LIMIT = 64 * 1024
"""Bytes of a body where a body means nothing, as with GET: it is read away up to this size."""

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

if TYPE_CHECKING:
    from springfield.web.application import RoutedApplication

log = logging.getLogger("springfield.web")


class Handler(Answering):
    """A handler whose every error is a problem, and whose body has a limit."""

    METHODS: tuple[str, ...] = ("GET", "HEAD", "OPTIONS")
    body_limit = 0
    """Bytes; a subclass that takes bodies sets its own."""

    is_answered_early = False
    """Whether the answer was given while the body was still coming; the method is not called."""
    task: "asyncio.Future[Any] | None" = None
    """What is waited for: the task of a method that is a coroutine, or the future of a Later."""
    waited = 0.0
    """Seconds that the client wished to wait for a change."""
    failure: BaseException | None = None
    """What was answered with a problem."""
    is_abandoned = False
    """Whether the client went away before it had its answer."""

    application: "RoutedApplication"
    request: Request
    _received = 0
    _in_flight = False
    _refusal: Exception | None = None

    def __init__(self, application: "RoutedApplication", request: Request, **kwargs: Any) -> None:
        shared = self.shared = application.shared
        self.traffic = shared.traffic
        fields = request.headers.fields
        self.trace_context = trace_context_of(
            fields.get("Traceparent", ""), fields.get("Tracestate", ""), shared.sampler
        )
        """The ids under which logs and traces speak of this request."""
        super().__init__(application, request, **kwargs)

    def _take_route(self, route: str) -> None:
        """Take the template of the route."""
        self.route = route

    initialize: Callable[..., None] = _take_route  # a subclass takes what its route gives it

    def set_default_headers(self) -> None:
        """Tell the client of its trace, where there is one."""
        # Not without: the header fields of HEAD and of GET are the same then.
        if self.trace_context.parent_id is not None or self.shared.sampler is not None:
            self.set_header("Traceresponse", self.trace_context.header)

    def prepare(self) -> Awaitable[None] | None:
        """Refuse what can be refused before the body is read."""
        self._in_flight = True
        self.traffic.begin()
        trace = self.trace_context
        current.set(trace)
        if self.shared.events.has_subscribers(RequestStarted):
            self.shared.events.publish(RequestStarted(self.request.method or "", self.route, trace))
        try:
            self._check()
        except (HTTPRefusal, SpringfieldError) as error:
            if self._has_body():
                self.answer_early(error)
            else:  # it is all there in a moment, and Tornado's engine would end the connection now
                self._refusal = error
        return None

    def act(self, *names: str) -> Awaitable[None] | None:
        """Do what is asked for, now that all of the request is there."""
        if self.is_answered_early:
            return None
        if self._refusal is not None:
            raise self._refusal
        method: Callable[..., Awaitable[None] | None]
        method = getattr(self, (self.request.method or "").lower())
        return method(*names)

    def _check(self) -> None:
        self.shared.safety.check(self.request)
        path = self.request.path
        if not path.isascii():  # RFC 3986, section 2: a URI is ASCII
            raise HTTPRefusal(
                "bad-request", "The path has bytes that are not ASCII; percent-encode them."
            )
        if "%" in path and BROKEN_ESCAPE.search(path):
            raise HTTPRefusal("bad-request", "The path has a % without two hexadecimal digits.")
        self.check_method()
        if "X-Request-Timeout" in self.request.headers.fields:
            self._set_deadline()
        self.check_request()
        if "Content-Length" in self.request.headers.fields and self._declared > self._limit:
            raise too_large(self._limit)
        if self.request.method not in READS:
            if self.shared.safety.read_only:
                raise HTTPRefusal(
                    "read-only", "The service was started read-only.", {"Allow": self.allowed}
                )
            self.check_write()

    def _set_deadline(self) -> None:
        limit = self.shared.request_timeout_limit
        seconds = deadline_of(self.request.headers, limit)
        if seconds is not None:
            deadline.set(asyncio.get_running_loop().time() + seconds)

    def check_method(self) -> None:
        """Refuse a method that the resource does not have."""
        method = self.request.method
        if method not in self.METHODS:
            raise HTTPRefusal(
                "method-not-allowed",
                f"{method} is not a method of this resource; use {self.allowed}.",
                {"Allow": self.allowed},
            )

    @property
    def _declared(self) -> int:
        """Bytes of the body, where the client says it."""
        length = self.request.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else 0

    @property
    def _limit(self) -> int:
        return self.body_limit if self.request.method in _WITH_BODY else STRAY_BODY_LIMIT

    def _has_body(self) -> bool:
        headers = self.request.headers
        return "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"

    def check_request(self) -> None:
        """Refuse a request of any method by its headers; raises HTTPRefusal or SpringfieldError."""

    def check_write(self) -> None:
        """Refuse a write by its headers; raises HTTPRefusal or SpringfieldError."""

    @property
    def allowed(self) -> str:
        """The value of Allow: the methods that would be served."""
        return ", ".join(m for m in self.METHODS if m in READS or not self.shared.safety.read_only)

    def options(self, *_: str) -> None:
        """Answer with the methods of the resource (RFC 9110, section 9.3.7)."""
        self.set_header("Allow", self.allowed)
        self.set_status(204)

    # The body.

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Hand a part of the body to `take`; once refused, only read it away, within a bound."""
        self._received += len(chunk)
        if self.is_answered_early:
            if self._received > LINGER and not self.is_finished:
                _ = self.finish()  # closes the connection, as the body is not read
            return None
        try:
            if self._received > self._limit:
                raise too_large(self._limit)
            awaitable = self.take(chunk)
        except (SpringfieldError, HTTPRefusal) as error:
            self.answer_early(error)
            return None
        return None if awaitable is None else self._taken(awaitable)

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        """Take a part of the body; raises a SpringfieldError to refuse the request."""

    async def _taken(self, awaitable: Awaitable[None]) -> None:
        try:
            await awaitable
        except (SpringfieldError, HTTPRefusal) as error:
            self.answer_early(error)

    def answer_early(self, error: Exception) -> None:
        """Answer with the problem of `error` while the body is still coming."""
        self.is_answered_early = True
        self.failure = error
        self.write_problem(problem_of(error))
        self.set_header("Content-Length", sum(map(len, self.content)))
        # Our engine reads the rest away by itself. A client that waits for 100 sends no body, and no
        # 100 may follow the answer.
        is_expecting = "Expect" in self.request.headers
        if is_expecting or self._declared > LINGER:
            self.set_header("Connection", "close")
        if is_expecting or getattr(self.request.connection, "lingers", False):
            _ = self.finish()
        else:  # the body is read away, and the connection lives on
            self.flush().add_done_callback(self._landed)

    # Errors.

    def cut(self) -> None:
        """See Answering."""
        super().cut()
        self._landed()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a problem. Called by Tornado for every exception."""
        error = self.failure = kwargs.get("exc_info", (None, None, None))[1]
        problem = problem_of(error or HTTPError(status_code))
        self.write_problem(problem)
        _ = self.finish()

    def write_problem(self, problem: Problem) -> None:
        """Put `problem` into the answer."""
        self.clear()
        self.set_status(problem.status)
        for name, value in problem.headers.items():
            self.set_header(name, value)
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED and "Allow" not in problem.headers:
            self.set_header("Allow", self.allowed)
        self.set_header("Content-Type", MEDIA_TYPE)
        self.set_header("Cache-Control", "no-store")
        self.write(problem.body(self.request.path, self.trace_context.trace_id))

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log what an operator must know: failures of stores in a line, defects with their trace."""
        match value:
            case StoreError() | UpstreamError():
                log.warning("%s cause=%r", value, value.__cause__)
            case SpringfieldError() | HTTPRefusal() | HTTPError():
                pass
            case _:
                log.error("defect", exc_info=(typ, value, tb))  # type: ignore[arg-type]

    # In flight.

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> "Future[None]":
        """End the answer; the request is in flight until its last byte is handed to the kernel."""
        future = super().finish(chunk)
        if future.done():
            self._landed(future)
        else:
            future.add_done_callback(self._landed)
        return future

    def on_connection_close(self) -> None:
        """Take note that the client went away before the answer, and stop reading for it."""
        self._landed()
        if self.is_answered_early or self.is_finished:
            return  # it had its answer
        self.is_abandoned = True
        if self.task is not None and self.request.method in READS:
            self.task.cancel()

    def _landed(self, future: "Future[None] | None" = None) -> None:
        if future is not None and not future.cancelled():
            future.exception()  # the client went away: nobody is left to be told
        if self._in_flight:
            self._in_flight = False
            self.traffic.end()


class ServerHandler(Handler):
    """`OPTIONS *`: what the server as a whole can do (RFC 9110, section 9.3.7)."""

    METHODS = ("OPTIONS",)

    @property
    def allowed(self) -> str:
        """See Handler: every method that some resource has."""
        methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
        return ", ".join(m for m in methods if m in READS or not self.shared.safety.read_only)


class NotFoundHandler(Handler):
    """Answers whatever no route matches."""

    def check_method(self) -> None:
        """See Handler: the method is not what is wrong here."""

    def check_request(self) -> None:
        """See Handler: there is nothing here."""
        raise HTTPRefusal(
            "no-such-route", f"No resource is served at {self.request.path}; see the README."
        )

"""In charge of one request on its way through its handler: the head, the body, the method, the end.

Contract
    Tornado's, as its RequestHandler documents it: `initialize`, `prepare` (may be awaited, the body
    comes behind it), `data_received` with each part of the body (may be awaited), then the method (may
    be awaited), then `finish`. An exception is told to `log_exception` and answered by `send_error`.
    All of it runs in one context (`contextvars`) of the request's own.

Cost
    No task where nothing is awaited, or only a result (`later.py`), and one where the method is a
    coroutine. Tornado's makes one task always, and a second of the Awaitable that it returns.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.web import Finish, HTTPError

from springfield.headers import Headers
from springfield.web.later import Later
from springfield.web.request import Request

if TYPE_CHECKING:
    from springfield.web.application import RoutedApplication
    from springfield.web.handlers.base import Handler

log = logging.getLogger("springfield.web")


class Execution(HTTPMessageDelegate):
    """One request. What the engine calls returns an Awaitable only where reading on has to wait."""

    __slots__ = ("_application", "_connection", "_context", "_handler")

    def __init__(self, application: "RoutedApplication", connection: HTTPConnection) -> None:
        self._application = application
        self._connection = connection
        self._context = copy_context()
        self._handler: Handler | None = None  # while its request is being read

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Make the handler and let it prepare; raises HTTPInputError for a head that means nothing."""
        assert isinstance(start_line, RequestStartLine)
        fields = headers if type(headers) is Headers else Headers.of(headers)
        request = Request(start_line, fields, self._connection)
        handler_class, arguments, names = self._application.target_of(request.path)
        self._handler = handler = handler_class(self._application, request, **arguments)
        handler.path_args = list(names)
        return self._context.run(self._prepare, handler)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Hand a part of the body on."""
        assert self._handler is not None
        awaitable = self._context.run(self._handler.data_received, chunk)
        return None if awaitable is None else self._begin(_result_of(awaitable))

    def finish(self) -> None:
        """Let the method answer, now that all of the request is there."""
        if self._handler is not None and not self._handler.is_finished:
            self._context.run(self._act, self._handler)

    def on_connection_close(self) -> None:
        """Tell the handler that its client went away before all of the request was there."""
        if self._handler is not None:
            self._handler.on_connection_close()
            self._handler.cut()

    def _prepare(self, handler: "Handler") -> Awaitable[None] | None:
        try:
            awaitable = handler.prepare()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            _fail(handler, error)
            return None
        return None if awaitable is None else self._begin(_prepared(handler, awaitable))

    def _act(self, handler: "Handler") -> None:
        try:
            awaitable = handler.act(*handler.path_args)
            if awaitable is None:
                if not handler.is_finished:
                    _ = handler.finish()
                return
        except Exception as error:  # noqa: BLE001
            _fail(handler, error)
            return
        self._wait(handler, awaitable)

    def _wait(self, handler: "Handler", awaitable: Awaitable[None]) -> None:
        if isinstance(awaitable, Later):
            handler.task = awaitable.future
            go_on = partial(self._go_on, handler, awaitable.go_on)
            awaitable.future.add_done_callback(go_on, context=self._context)
        else:
            handler.task = self._begin(_answered(handler, awaitable))

    def _go_on(
        self,
        handler: "Handler",
        go_on: Callable[[Any], Awaitable[None] | None],
        future: "asyncio.Future[Any]",
    ) -> None:
        handler.task = None
        try:
            awaitable = go_on(future.result())
            if awaitable is not None:
                self._wait(handler, awaitable)
            elif not handler.is_finished:
                _ = handler.finish()
        except asyncio.CancelledError as error:
            if not handler.is_abandoned:
                _fail(handler, error)  # what it waited for was cancelled, and not the request
            elif not handler.is_finished:
                handler.send_error(500)
        except Exception as error:  # noqa: BLE001
            _fail(handler, error)

    def _begin(self, work: Any) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(work, context=self._context)


async def _result_of(awaitable: Awaitable[None]) -> None:
    await awaitable


async def _prepared(handler: "Handler", awaitable: Awaitable[None]) -> None:
    try:
        await awaitable
    except Exception as error:  # noqa: BLE001
        _fail(handler, error)


async def _answered(handler: "Handler", awaitable: Awaitable[None]) -> None:
    try:
        await awaitable
        if not handler.is_finished:
            _ = handler.finish()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            _fail(handler, error)  # what it awaited was cancelled, and not the request
            return
        if not handler.is_finished:
            handler.send_error(500)
        raise
    except Exception as error:  # noqa: BLE001
        _fail(handler, error)
    finally:
        handler.task = None  # a task refers to its handler: no cycle is left for the collector


def _fail(handler: "Handler", error: BaseException) -> None:
    """Answer with what went wrong, as far as something can still be answered."""
    try:
        if isinstance(error, Finish):
            if not handler.is_finished:
                _ = handler.finish(*error.args)
            return
        handler.log_exception(*sys.exc_info())
        if not handler.is_finished:
            status = error.status_code if isinstance(error, HTTPError) else 500
            handler.send_error(status, exc_info=sys.exc_info())
    except Exception:
        log.exception("defect in the answering of an error")
        handler.cut()

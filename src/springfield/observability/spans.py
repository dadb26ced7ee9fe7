"""In charge of what a span says: events in the words of OpenTelemetry's conventions.

Knows no tracing library. HTTP conventions are the stable ones (1.23), database's likewise (1.33).
"""

import time
from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from http import HTTPMethod
from typing import NamedTuple

from springfield.observability.events import (
    RequestFinished,
    StoreCallFinished,
    UpstreamCallFinished,
)
from springfield.observability.trace_context import TraceContext

_SERVER_ERROR = 500
_METHODS = frozenset(method.value for method in HTTPMethod)


class Span(NamedTuple):
    """A piece of work that is over."""

    name: str
    trace: TraceContext
    """Its own ids, and its parent's."""
    attributes: Mapping[str, str | int | bool]
    end: int
    """Nanoseconds of the epoch."""
    seconds: float
    failure: Mapping[str, str] | None = None
    """The attributes of what went wrong."""
    is_server: bool = False
    """Whether the work was asked of us; else we asked for it."""
    links: Sequence[TraceContext] = ()
    """Other requests that it was done for."""


def of_request(event: RequestFinished) -> Span:
    """Return the span of a request: an error if the answer is 5xx."""
    is_known, is_routed = event.method in _METHODS, event.route.startswith("/")
    attributes: dict[str, str | int | bool] = {
        "http.request.method": event.method if is_known else "_OTHER",
        "url.path": event.path,
        "url.scheme": event.scheme,
        "http.response.status_code": event.status,
        "http.response.body.size": event.size,
    }
    if is_routed:
        attributes["http.route"] = event.route
    if not is_known:
        attributes["http.request.method_original"] = event.method
    verb = event.method if is_known else "HTTP"
    failure: Mapping[str, str] | None = None
    if event.status >= _SERVER_ERROR:
        failure = {"error.type": str(event.status)}
        if event.error is not None:
            failure = failure_of(event.error)
    name = f"{verb} {event.route}" if is_routed else verb
    return Span(
        name, event.trace, attributes, time.time_ns(), event.seconds, failure, is_server=True
    )


def of_store_call(
    event: StoreCallFinished, request: TraceContext, others: Sequence[TraceContext] = ()
) -> Span:
    """Return the span of a call on behalf of `request` and `others`.

    Its batch size is told even if it is one.
    """
    attributes: dict[str, str | int | bool] = {
        "db.system.name": event.product.lower(),
        "db.operation.name": event.operation,
        "db.operation.batch.size": event.names,
        "springfield.resource": event.resource,
    }
    name = f"{event.operation} {event.resource}"
    return _call(name, request.child(), attributes, event)._replace(links=others)


def of_upstream_call(event: UpstreamCallFinished) -> Span:
    """Return the span of a call to an upstream, under the id that the upstream was told."""
    attributes: dict[str, str | int | bool] = {
        "http.request.method": "GET",
        "service.peer.name": event.upstream,
    }
    return _call(f"GET {event.upstream}", event.trace, attributes, event)


def _call(
    name: str,
    trace: TraceContext,
    attributes: dict[str, str | int | bool],
    event: StoreCallFinished | UpstreamCallFinished,
) -> Span:
    failure = None
    if isinstance(event.error, CancelledError):  # the client went away: nothing is wrong with us
        attributes["springfield.cancelled"] = True
    elif event.error is not None:
        failure = failure_of(event.error)
    ago = time.monotonic() - event.started - event.seconds
    end = time.time_ns() - int(ago * 1e9)
    return Span(name, trace, attributes, end, event.seconds, failure)


def failure_of(error: BaseException) -> Mapping[str, str]:
    """Return what is told of `error`: its type, its cause's, and the sentence of one of ours.

    Another's text may hold what must not leave the process, and so may a stack.
    """
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    told = {"error.type": name, "exception.type": name}
    if hasattr(error, "code"):
        told["exception.message"] = str(error)
    if error.__cause__ is not None:
        told["springfield.cause"] = type(error.__cause__).__qualname__
    return told

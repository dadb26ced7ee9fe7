"""In charge of saying what happened. Whoever wants to know subscribes; whoever says it does not know who.

An event is a named tuple, as one is made for every request: a frozen dataclass costs three times as
much. Times are seconds; `started` is `time.monotonic()`.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from springfield.observability.trace_context import TraceContext

E = TypeVar("E")


class RequestStarted(NamedTuple):
    """A request has reached its handler. Published in the request's own context."""

    method: str
    route: str
    """The template, such as `/api/v1/homers/{name}`; never a name out of the request."""
    trace: TraceContext


class RequestFinished(NamedTuple):
    """The answer was handed to the connection, or the client went away before it."""

    method: str
    route: str
    path: str
    status: int
    """499 when the client went away before its answer."""
    size: int
    """Bytes of the answer's content."""
    seconds: float
    trace: TraceContext
    scheme: str = "http"
    error: BaseException | None = None
    """What was answered with a problem."""
    client: str = ""
    """The client's address, as the trusted proxies tell it."""
    waited: float = 0.0
    """The part of `seconds` that the client wished to wait for a change."""


class StoreCallFinished(NamedTuple):
    """One attempt to call a store ended. Published in the context of the request that caused it.

    A call for several requests is told in that of the first recorded one; `trace_context.sharing` has
    the others.
    """

    resource: str
    product: str
    operation: str
    """The method of the port: read, write, swap, delete, names, stat, open."""
    names: int
    """How many names the call was about."""
    started: float
    seconds: float
    error: BaseException | None


class UpstreamCallFinished(NamedTuple):
    """One attempt to call an upstream HTTP API ended."""

    upstream: str
    started: float
    seconds: float
    error: BaseException | None
    trace: TraceContext
    """What the upstream was told: `span_id` is the call's, `parent_id` the request's."""


class CallRetried(NamedTuple):
    """A call is about to be repeated, `delay` seconds from now."""

    dependency: str
    operation: str
    attempt: int
    delay: float
    error: BaseException


class BreakerChanged(NamedTuple):
    """A circuit breaker is in another state: closed, open or half-open."""

    dependency: str
    state: str
    error: BaseException | None
    """The failure that opened it."""


class CallRejected(NamedTuple):
    """A call was not tried: its breaker is open or its bulkhead is full."""

    dependency: str
    reason: str
    """`breaker` or `bulkhead`."""


class RequestShed(NamedTuple):
    """A request was refused as the process has too many in flight."""

    in_flight: int


class LoopBlocked(NamedTuple):
    """The event loop has not turned for `seconds`; `stack` is where it is."""

    seconds: float
    stack: str


class LoopTurned(NamedTuple):
    """The event loop has come round to its heartbeat, `lag` seconds late. Twenty times a second."""

    lag: float


class Events:
    """The subscribers, by kind of event.

    A subscriber is called at once, on the publisher's thread and in its context. It must be quick, and
    must not raise.
    """

    def __init__(self) -> None:
        self._subscribers: dict[type, list[Callable[[Any], None]]] = defaultdict(list)

    def subscribe(self, kind: type[E], subscriber: Callable[[E], None]) -> None:
        """Have `subscriber` called with every event of `kind` from now on."""
        self._subscribers[kind].append(subscriber)

    def has_subscribers(self, kind: type) -> bool:
        """Whether somebody wants to know of this kind of event: else none need be made."""
        return kind in self._subscribers

    def publish(self, event: object) -> None:
        """Call whoever subscribed to this kind of event, in the order of their subscription."""
        for subscriber in self._subscribers.get(type(event), ()):
            subscriber(event)

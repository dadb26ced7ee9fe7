"""In charge of the ids under which everything speaks of one request (W3C Trace Context).

Every request has them, with or without tracing.
"""

import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from random import getrandbits
from typing import NamedTuple

_PARENT = re.compile(  # a version to come may have more behind what is known of it
    r"(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
    r"(?:-.*)?"
)
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
_MEMBERS = 32
_NEVER_ZERO = 1 << 64 | 1  # a bit of each id: none may be all zeros (section 3.2.2)
_STATE_LIMIT, _LONG_MEMBER = 512, 128
"""Characters of a state that are told on, and of a member that is left out first (section 3.3.1.5).

More would make an upstream refuse the one call that is made for everybody.
"""


class TraceContext(NamedTuple):
    """Where a request stands in its trace. Ids are lower-case hexadecimal."""

    trace_id: str
    """32 digits: the client's, or our own."""
    span_id: str
    """16 digits: this service's part."""
    parent_id: str | None
    """16 digits: the client's part, if it told."""
    is_sampled: bool
    """Whether the client records its part; without a client, whether we would."""
    state: str = ""
    """The client's `tracestate`, which other tracing systems read (section 3.3)."""

    @property
    def header(self) -> str:
        """The `traceparent` for who is called on behalf of this request (section 3.2).

        It is the `traceresponse` for who called, too (Trace Context Level 2, section 4).
        """
        return f"00-{self.trace_id}-{self.span_id}-{self.is_sampled:02x}"

    @property
    def headers(self) -> dict[str, str]:
        """The header fields for who is called on behalf of this request."""
        parent = {"Traceparent": self.header}
        return {**parent, "Tracestate": self.state} if self.state else parent

    def child(self) -> "TraceContext":
        """Return the context of a call that is made on behalf of this one."""
        return self._replace(span_id=_span_id(), parent_id=self.span_id)


current: ContextVar[TraceContext | None] = ContextVar("current", default=None)
"""That of the request in whose context code runs."""

sharing: ContextVar[Sequence[TraceContext]] = ContextVar("sharing", default=())
"""Those of the other recorded requests that one call is made for, if there are any."""


Sampler = Callable[[TraceContext], bool]
"""Decides whether a request is recorded; is given its context with the client's decision."""


def trace_context_of(parent: str, state: str = "", sampler: Sampler | None = None) -> TraceContext:
    """Return the context of a request with this `traceparent` and `tracestate`.

    An invalid parent counts as none, and then so does the state; an invalid state counts as none.
    """
    trace = _read(parent, state)
    return trace if sampler is None else trace._replace(is_sampled=sampler(trace))


def _read(parent: str, state: str) -> TraceContext:
    # Ids have to differ, not to be secret: random's state, which is seeded anew behind a fork, costs a
    # tenth of the two calls of os.urandom (5 µs).
    if parent and (given := _PARENT.fullmatch(parent)):
        parent_id, is_sampled = given[2], bool(int(given[3], 16) & 1)
        return TraceContext(given[1], _span_id(), parent_id, is_sampled, _state(state))
    digits = f"{getrandbits(192) | _NEVER_ZERO:048x}"
    return TraceContext(digits[:32], digits[32:], None, True)  # noqa: FBT003


def _span_id() -> str:
    return f"{getrandbits(64) | 1:016x}"


def _state(given: str) -> str:
    members = [member for each in given.split(",") if (member := each.strip(" \t"))]
    if len(members) > _MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return ""
    if len(",".join(members)) > _STATE_LIMIT:
        members = [member for member in members if len(member) <= _LONG_MEMBER]
    while len(state := ",".join(members)) > _STATE_LIMIT:
        members.pop()  # the oldest
    return state

"""In charge of the ids under which everything speaks of one request (W3C Trace Context).

Every request has them, with or without tracing.
"""

import os
import re
from contextvars import ContextVar
from typing import NamedTuple

_PARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
)


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

    @property
    def header(self) -> str:
        """The `traceparent` for who is called on behalf of this request (section 3.2)."""
        return f"00-{self.trace_id}-{self.span_id}-{self.is_sampled:02x}"


current: ContextVar[TraceContext | None] = ContextVar("current", default=None)
"""That of the request in whose context code runs."""


def trace_context_of(parent: str) -> TraceContext:
    """Return the context of a request with this `traceparent`; an invalid one counts as none."""
    span_id = os.urandom(8).hex()
    if given := _PARENT.fullmatch(parent):
        return TraceContext(given[1], span_id, given[2], bool(int(given[3], 16) & 1))
    return TraceContext(os.urandom(16).hex(), span_id, None, is_sampled=True)

"""In charge of asking once for everybody who asks at the same time.

The flight belongs to no caller: whoever leaves early, for whatever reason, disturbs nobody.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Generic, TypeVar

from springfield.observability.trace_context import current

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """An operation that runs at most once at a time.

    Contract: all who join while it runs get its one outcome, value or error.
    Cancellation: a caller only ever cancels its own waiting; the operation bounds itself in time.
    """

    def __init__(self, operation: Callable[[], Coroutine[Any, Any, T]], name: str) -> None:
        self._operation = operation
        self._name = name
        self._flight: asyncio.Task[T] | None = None

    def join(self) -> "asyncio.Task[T]":
        """Return the flight that is under way, or a new one.

        Wait for it with `asyncio.wait`: awaiting the task itself would cancel it with the caller.
        """
        if self._flight is None or self._flight.done():
            # A deadline of the first caller, say, is not the others': of its context the flight
            # keeps the trace alone.
            context = Context()
            context.run(current.set, current.get())
            self._flight = asyncio.create_task(self._operation(), name=self._name, context=context)
            self._flight.add_done_callback(_look)
        return self._flight

    async def close(self) -> None:
        """Cancel what is under way, and wait until it has ended."""
        if self._flight is not None and not self._flight.done():
            self._flight.cancel()
            await asyncio.wait({self._flight})


def _look(flight: "asyncio.Task[Any]") -> None:
    if not flight.cancelled():
        flight.exception()  # else asyncio logs that nobody looked, when all callers had left

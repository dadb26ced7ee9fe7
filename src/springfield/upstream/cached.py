"""In charge of how old an upstream's answer may be: a lifetime, then stale-if-error (RFC 5861).

Knows no HTTP and no policy: those wrap the operation that is given to `open_cached`.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from springfield.errors import SpringfieldError, UpstreamTooSlow
from springfield.upstream.single_flight import SingleFlight

T = TypeVar("T")

RETRY_PAUSE = 1.0
"""Seconds after a failed attempt before the next one: until then nobody asks the upstream."""
PATIENCE = 0.25
"""Seconds that a caller who could have an old answer waits for an upstream that failed last time."""

log = logging.getLogger("springfield.upstream")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """An answer of the upstream, and how it was come by."""

    value: T
    age: float
    """Seconds since the upstream gave it."""
    time_to_live: float
    """Seconds that it stays fresh; negative when it is stale."""
    forwarded: Literal["miss", "stale"] | None = None
    """Why the upstream was asked for this caller; None when it was not, or in vain."""


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    value: T
    arrived: float


class Cached(Generic[T]):
    """An operation whose value is good for a while.

    Contract: a value is fresh for `lifetime` seconds. After that the operation is asked again, once
    for everybody; when it fails, the old value is given for `stale` seconds more, then the error.
    After a failure it is asked at most once a second, and who could have the old value waits for
    that at most a quarter of a second. With a lifetime of 0 nothing is fresh and no failure is
    remembered. Only a SpringfieldError counts as failure; a defect is raised to all.
    Cancellation: see SingleFlight.
    """

    def __init__(
        self, operation: Callable[[], Coroutine[Any, Any, T]], lifetime: float, stale: float
    ) -> None:
        self._operation = operation
        self.lifetime = lifetime
        self.stale = stale
        self._flight = SingleFlight(self._refresh, "upstream refresh")
        self._kept: _Kept[T] | None = None
        self._failed: asyncio.Task[T] | None = None
        """The last flight, if it failed; a task raises its error any number of times."""
        self._asked_again = 0.0
        """When, by the monotonic clock, the upstream may be asked after a failure."""

    async def get(self, timeout: float | None = None) -> Reading[T]:
        """Return the value and its age; raises the operation's error when there is none to give.

        `timeout` is how long this caller waits, in seconds: then it gets the old value, or
        UpstreamTooSlow, and the others wait on.
        """
        old = self._read()
        if old is not None and old.time_to_live > 0:
            return old
        if self._failed is not None and time.monotonic() < self._asked_again:
            return old or self._landed(self._failed)
        if old is not None and self._failed is not None:
            timeout = PATIENCE if timeout is None else min(PATIENCE, timeout)
        flight = self._flight.join()
        await asyncio.wait({flight}, timeout=timeout)
        if not flight.done():
            if old is None:
                raise UpstreamTooSlow("The upstream did not answer in the time that you gave it.")
            return old
        if _has_failed(flight) and (still := self._read()) is not None:
            return still
        return self._landed(flight, "miss" if old is None else "stale")

    async def close(self) -> None:
        """Give up what is under way."""
        await self._flight.close()

    def _read(self) -> Reading[T] | None:
        if self._kept is None:
            return None
        age = time.monotonic() - self._kept.arrived
        if age > self.lifetime + self.stale:
            self._kept = None
            return None
        return Reading(self._kept.value, age, self.lifetime - age)

    def _landed(
        self, flight: "asyncio.Task[T]", forwarded: Literal["miss", "stale"] | None = None
    ) -> Reading[T]:
        return Reading(flight.result(), 0.0, self.lifetime, forwarded)

    async def _refresh(self) -> T:
        try:
            value = await self._operation()
        except SpringfieldError as error:
            self._failed = asyncio.current_task()
            self._asked_again = time.monotonic() + (RETRY_PAUSE if self.lifetime else 0)
            if self._read() is not None:  # else each request says so itself
                log.warning("an old answer is served: %s cause=%r", error, error.__cause__)
            raise
        self._kept = _Kept(value, time.monotonic())
        self._failed = None
        return value


@asynccontextmanager
async def open_cached(
    operation: Callable[[], Coroutine[Any, Any, T]], lifetime: float, stale: float
) -> AsyncIterator[Cached[T]]:
    """Cache `operation` (see Cached); leaving the context ends what is under way."""
    cached = Cached(operation, lifetime, stale)
    try:
        yield cached
    finally:
        await cached.close()


def _has_failed(flight: "asyncio.Task[Any]") -> bool:
    return not flight.cancelled() and isinstance(flight.exception(), SpringfieldError)

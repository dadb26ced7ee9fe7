"""In charge of when the next wave goes to the store. Knows neither reads nor writes.

Contract
    What is asked for while nothing is in flight goes at once, together with what the same turn of the
    event loop asks for. What is asked for later forms the next wave, which goes when the one before is
    back, when it is full, or when it has waited for `PATIENCE` times the waves in flight: so a quick
    store gets one wave at a time, as large as can be, and a slow one more of them. At most `LIMIT` are
    in flight, of at most `NAMES` names and about `BYTES` bytes each.

Cancellation
    A wave runs in a task of its own, with an empty context: neither a caller's cancellation nor its
    deadline is that of the others.

Rejected
    To gather for a fixed time: a lone request would wait for the timer.
    To measure how long a store takes and to compute the number of waves from it: under load the loop's
    own delays are measured, and a store that hangs says nothing until it is too late.
"""

import asyncio
import copy
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from typing import Generic, TypeVar, cast

from springfield.errors import SpringfieldError
from springfield.observability.trace_context import TraceContext, current, sharing

E = TypeVar("E")
ErrorT = TypeVar("ErrorT", bound=Exception)

NAMES = 256
"""Names in one wave, at most: what MySQL takes in one statement."""

BYTES = 4 * 1024 * 1024
"""Contents in one wave, at most, if it has more than one name."""

LIMIT = 8
"""Waves in flight, at most, of each kind."""

PATIENCE = 0.002
"""Seconds that a wave waits for each one that is in flight, at most."""


class Waves(ABC, Generic[E]):
    """The waves of one kind of call; `E` is what somebody asks for."""

    def __init__(self) -> None:
        self.waiting: deque[E] = deque()
        self.in_flight = 0
        self.is_lone = True
        """Whether the last wave was for one caller alone."""
        self._is_called = False
        """Whether a task is about to take what waits."""
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, asked: E) -> None:
        """Have it carried by the next wave."""
        self.waiting.append(asked)
        if self._is_called or self._timer is not None:
            return
        if not self.in_flight:
            self._start()
        elif self.in_flight < LIMIT:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(PATIENCE * self.in_flight, self._overdue)

    def come_back(self) -> None:
        """Count one less in flight, and send what has come meanwhile."""
        self.in_flight -= 1
        if self._is_next():
            self._start()

    async def close(self, timeout: float) -> None:
        """Wait for what is in flight, for `timeout` seconds at most; cancel what is left."""
        await ended(self._tasks, timeout)

    @abstractmethod
    def _take(self) -> Sequence[E]:
        """Remove what one wave carries from `waiting`; leave out what nobody wants any more."""

    @abstractmethod
    async def _carry(self, wave: Sequence[E]) -> None:
        """Ask the store, and give everybody his answer. Raises nothing but CancelledError."""

    def _start(self) -> None:
        self.in_flight += 1
        self._is_called = True
        self._tasks.add(asyncio.create_task(self._run(), context=Context()))

    def _overdue(self) -> None:
        self._timer = None
        if self.waiting and not self._is_called:
            self._start()

    def _is_next(self) -> bool:
        """Tell whether what waits shall go, as a wave is back."""
        if not self.waiting or self._is_called:
            return False
        return not self.in_flight or self._timer is None

    async def _run(self) -> None:
        try:
            while True:
                self._is_called = False
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
                wave = self._take()
                if self.waiting and self.in_flight < LIMIT:  # more than one wave carries
                    self._start()
                self.is_lone = len(wave) == 1
                if wave:
                    await self._carry(wave)
                self.in_flight -= 1
                is_next = self._is_next()
                self.in_flight += 1
                if not is_next:
                    return
        finally:
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            self.come_back()


async def ended(tasks: set[asyncio.Task[None]], timeout: float) -> None:
    """Wait until `tasks` is empty, for `timeout` seconds at most; cancel what is left."""
    try:
        async with asyncio.timeout(timeout):
            while tasks:  # one may start the next
                await asyncio.wait(tasks)
    except TimeoutError:
        for task in tasks:
            task.cancel()


def act_for(traces: Sequence[TraceContext | None]) -> None:
    """Have what is done in this context told as done for all these requests."""
    recorded = [trace for trace in traces if trace is not None and trace.is_sampled]
    current.set(recorded[0] if recorded else traces[0])
    sharing.set(recorded[1:])


def own(error: ErrorT) -> ErrorT:
    """Return an error for one caller alone: a raised one gathers the traces of all who raise it."""
    if not isinstance(error, SpringfieldError):
        return error  # a defect, whose kind may not know how to be copied
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied

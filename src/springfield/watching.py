"""In charge of waiting for an item to change: many who wait, one batched read a tick.

Contract
    A change that is made through this `Watch`'s own process is looked at at once (`changed`); one that
    another program makes is seen at the next tick. Who says what `changes` was before he read misses
    nothing between his read and his wait. The names that are waited for cost one read of the
    store a tick, in batches bounded by names and by bytes, however many wait for each.

    Nobody is told anything older than what he has read: what a read found is news only for those who
    waited when it began.

Cancellation
    Who is cancelled leaves; when nobody is left the reading stops.

Rejected
    A read per waiting client and tick: a thousand clients would cost a thousand commands a second.
    Change streams, keyspace notifications, binary logs: each store has another, some have none, and
    each needs rights that a reader does not have.
    Telling what a write has written, when it was answered: another write may have come between, and
    been read by somebody who waits for the next one.
"""

import asyncio
import math
import random
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field

from springfield.errors import SpringfieldError, StoreError
from springfield.model import Item, Name, Precondition
from springfield.stores.store import Store

BATCH_NAMES = 500
BATCH_BYTES = 16 * 1024 * 1024
"""What one read of the ticker may bring, as far as the sizes are known from the read before."""

JITTER = 0.05
"""The part of a wait by which it may end earlier, so that a herd that came together spreads."""

GRAIN = 0.1
"""Seconds: those whose time is up within as much share a timer, that of the first of them."""


class Unchanged(Exception):
    """The time is up, or the service stops, and nothing has changed."""


class Watch:
    """Those who wait for items of one store."""

    def __init__(self, store: Store, tick: float) -> None:
        self._store = store
        self._tick = tick
        self._watched: dict[Name, _Watched] = {}
        self._ending: dict[int, _Ending] = {}
        self._reading: asyncio.Task[None] | None = None
        self._changed = set[Name]()
        self._looking: asyncio.Task[None] | None = None
        self._reads = 0
        self.changes = 0
        """How many changes were made through this process."""
        self.failure: StoreError | None = None
        """Why the store could not be read at the last tick."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(len(watched.waiters) for watched in self._watched.values())

    def wait(
        self, name: Name, condition: Precondition, seconds: float, since: int | None = None
    ) -> "asyncio.Future[Item | None]":
        """Return what the name will hold when If-None-Match of `condition` is true of it.

        `since` is what `changes` was before the caller read the name: if there were any, of whatever
        name, it is looked at again at once. None is an absent item. Fails with Unchanged before
        `seconds` (up to JITTER of them and GRAIN earlier) are over, or with the store's error if it
        cannot be read by then. A plain future: ten thousand wait at once, and a coroutine or a timer
        each would be much of their memory.
        """
        early = random.uniform(0, JITTER)  # noqa: S311
        ending = self._ending_in(seconds * (1 - early))
        waiter = _Waiter(self, name, condition, ending, self._reads)
        waiter.add_done_callback(_Waiter.leave)
        ending.waiters.add(waiter)
        self._watched.setdefault(name, _Watched()).waiters.add(waiter)
        if self._reading is None or self._reading.done():
            # In a context of its own: the deadline of who came first is not that of all.
            self._reading = asyncio.create_task(self._read_each_tick(), context=Context())
        if since is not None and since != self.changes:
            self._look_at(name)
        return waiter

    def changed(self, name: Name) -> None:
        """Look at a name again, now: it was written."""
        self.changes += 1
        if name in self._watched:
            self._look_at(name)

    def _look_at(self, name: Name) -> None:
        self._changed.add(name)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_again(), context=Context())

    def release(self) -> None:
        """Tell everybody that the time is up: the service stops."""
        for watched in self._watched.values():
            for waiter in watched.waiters:
                waiter.fail(Unchanged())

    def _ending_in(self, seconds: float) -> "_Ending":
        loop = asyncio.get_running_loop()
        moment = math.floor((loop.time() + seconds) / GRAIN)
        ending = self._ending.get(moment)
        if ending is None:
            timer = loop.call_at(moment * GRAIN, self._time_is_up, moment)
            ending = self._ending[moment] = _Ending(moment, timer)
        return ending

    def _time_is_up(self, moment: int) -> None:
        for waiter in self._ending.pop(moment).waiters:
            waiter.fail(self.failure or Unchanged())

    def forget(self, waiter: "_Waiter") -> None:
        """Forget a waiter that has its answer, or is gone."""
        ending = waiter.ending
        ending.waiters.discard(waiter)
        if not ending.waiters and self._ending.get(ending.moment) is ending:
            ending.timer.cancel()
            del self._ending[ending.moment]
        watched = self._watched[waiter.name]
        watched.waiters.discard(waiter)
        if not watched.waiters:
            del self._watched[waiter.name]
        if not self._watched:
            for task in (self._reading, self._looking):
                if task is not None:
                    task.cancel()
            self._reading = self._looking = None

    async def _look_again(self) -> None:
        while self._changed:
            names = [name for name in self._changed if name in self._watched]
            self._changed.clear()
            with suppress(StoreError):  # the next tick looks again
                for batch in self._batches(names):
                    await self._read(batch)

    async def _read_each_tick(self) -> None:
        while True:
            await asyncio.sleep(self._tick)
            try:
                for batch in self._batches(list(self._watched)):
                    await self._read(batch)
                self.failure = None
            except StoreError as error:
                self.failure = error

    async def _read(self, names: list[Name]) -> None:
        self._reads += 1
        number = self._reads
        found = await self._store.read(names)
        for name in names:
            if name in self._watched:
                self._tell(self._watched[name], found.get(name), number)

    def _tell(
        self, watched: "_Watched", found: Item | SpringfieldError | None, number: int
    ) -> None:
        """Say what the read of this number found, to those for whom it is news."""
        tag = None
        if isinstance(found, Item):
            tag = found.entity_tag
            watched.size = len(found.content)
        for waiter in watched.waiters:
            if waiter.reads >= number:  # he came later, and may have read something newer
                continue
            if isinstance(found, SpringfieldError):
                waiter.fail(found)
            elif not waiter.condition.excludes(tag):
                waiter.succeed(found)

    def _batches(self, names: list[Name]) -> list[list[Name]]:
        batches: list[list[Name]] = []
        room = 0
        for name in names:
            size = self._watched[name].size
            if not batches or len(batches[-1]) == BATCH_NAMES or size > room:
                batches.append([])
                room = BATCH_BYTES
            batches[-1].append(name)
            room -= size
        return batches


class _Waiter(asyncio.Future[Item | None]):
    """Somebody who waits for news of one name; the future's result is the news."""

    __slots__ = ("_watch", "condition", "ending", "name", "reads")

    def __init__(
        self, watch: Watch, name: Name, condition: Precondition, ending: "_Ending", reads: int
    ) -> None:
        super().__init__()
        self._watch = watch
        self.name = name
        self.condition = condition
        self.ending = ending
        self.reads = reads
        """How many reads had begun when he came."""

    def succeed(self, found: Item | None) -> None:
        """Give the answer, unless there is one."""
        if not self.done():
            self.set_result(found)

    def fail(self, error: Exception) -> None:
        """Give an error for an answer, unless there is one."""
        if not self.done():
            self.set_exception(error)

    def leave(self) -> None:
        """Be done, one way or another."""
        self._watch.forget(self)


@dataclass(eq=False, slots=True)
class _Watched:
    waiters: set[_Waiter] = field(default_factory=set)
    size: int = 1024
    """Bytes of the item when it was read last."""


@dataclass(eq=False, slots=True)
class _Ending:
    """Those whose time is up at the same moment."""

    moment: int
    """In GRAINs, by the loop's clock."""
    timer: asyncio.TimerHandle
    waiters: set[_Waiter] = field(default_factory=set)

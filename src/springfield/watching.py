"""In charge of waiting for an item to change: many who wait, one batched read a tick.

Contract
    A change that is made through this `Watch`'s own process is told at once (`tell`); one that another
    program makes is seen at the next tick. The names that are waited for cost one read of the store
    a tick, in batches bounded by names and by bytes, however many wait for each.

Cancellation
    Who is cancelled leaves; when nobody is left the reading stops.

Rejected
    A read per waiting client and tick: a thousand clients would cost a thousand commands a second.
    Change streams, keyspace notifications, binary logs: each store has another, some have none, and
    each needs rights that a reader does not have.
"""

import asyncio
import math
import random
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
"""Seconds: those whose time is up within as much share a timer, and so wait that much longer."""


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
        self.failure: StoreError | None = None
        """Why the store could not be read at the last tick."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(len(watched.waiters) for watched in self._watched.values())

    def wait(
        self, name: Name, condition: Precondition, seconds: float
    ) -> "asyncio.Future[Item | None]":
        """Return what the name will hold when If-None-Match of `condition` is true of it.

        None is an absent item. Fails with Unchanged when `seconds` (a little less, so that herds
        spread) are over, or with the store's error if it cannot be read by then. A plain future:
        ten thousand wait at once, and a coroutine or a timer each would be much of their memory.
        """
        early = random.uniform(0, JITTER)  # noqa: S311
        ending = self._ending_in(seconds * (1 - early))
        waiter = _Waiter(self, name, condition, ending)
        waiter.add_done_callback(_Waiter.leave)
        ending.waiters.add(waiter)
        self._watched.setdefault(name, _Watched()).waiters.add(waiter)
        if self._reading is None or self._reading.done():
            # In a context of its own: the deadline of who came first is not that of all.
            self._reading = asyncio.create_task(self._read_each_tick(), context=Context())
        return waiter

    def tell(self, name: Name, found: Item | SpringfieldError | None) -> None:
        """Say what a name holds now, to those for whom it is news."""
        watched = self._watched.get(name)
        if watched is None:
            return
        tag = found.entity_tag if isinstance(found, Item) else None
        for waiter in watched.waiters:
            if isinstance(found, SpringfieldError):
                waiter.fail(found)
            elif not waiter.condition.excludes(tag):
                waiter.succeed(found)

    def release(self) -> None:
        """Tell everybody that the time is up: the service stops."""
        for watched in self._watched.values():
            for waiter in watched.waiters:
                waiter.fail(Unchanged())

    def _ending_in(self, seconds: float) -> "_Ending":
        loop = asyncio.get_running_loop()
        moment = math.ceil((loop.time() + seconds) / GRAIN)
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
        if not self._watched and self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _read_each_tick(self) -> None:
        while True:
            await asyncio.sleep(self._tick)
            try:
                for batch in self._batches():
                    await self._read(batch)
                self.failure = None
            except StoreError as error:
                self.failure = error

    async def _read(self, names: list[Name]) -> None:
        found = await self._store.read(names)
        for name in names:
            each = found.get(name)
            if name in self._watched and isinstance(each, Item):
                self._watched[name].size = len(each.content)
            self.tell(name, each)

    def _batches(self) -> list[list[Name]]:
        batches: list[list[Name]] = []
        room = 0
        for name, watched in self._watched.items():
            if not batches or len(batches[-1]) == BATCH_NAMES or watched.size > room:
                batches.append([])
                room = BATCH_BYTES
            batches[-1].append(name)
            room -= watched.size
        return batches


class _Waiter(asyncio.Future[Item | None]):
    """Somebody who waits for news of one name; the future's result is the news."""

    __slots__ = ("_watch", "condition", "ending", "name")

    def __init__(
        self, watch: Watch, name: Name, condition: Precondition, ending: "_Ending"
    ) -> None:
        super().__init__()
        self._watch = watch
        self.name = name
        self.condition = condition
        self.ending = ending

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

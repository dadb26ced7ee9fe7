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
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from springfield.errors import SpringfieldError, StoreError
from springfield.model import Item, Name
from springfield.stores.store import Store

BATCH_NAMES = 500
BATCH_BYTES = 16 * 1024 * 1024
"""What one read of the ticker may bring, as far as the sizes are known from the read before."""

JITTER = 0.05
"""The part of a wait by which it may end earlier, so that a herd that came together spreads."""

Found = Item | SpringfieldError | None


@dataclass(eq=False, slots=True)
class _Waiter:
    is_news: Callable[[Item | None], bool]
    news: "asyncio.Future[Found]"


@dataclass(eq=False, slots=True)
class _Watched:
    waiters: set[_Waiter] = field(default_factory=set)
    size: int = 1024
    """Bytes of the item when it was read last."""


class Unchanged(Exception):
    """The time is up, or the service stops, and nothing has changed."""


class Watch:
    """Those who wait for items of one store."""

    def __init__(self, store: Store, tick: float) -> None:
        self._store = store
        self._tick = tick
        self._watched: dict[Name, _Watched] = {}
        self._reading: asyncio.Task[None] | None = None
        self._failure: StoreError | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(len(watched.waiters) for watched in self._watched.values())

    async def wait(
        self, name: Name, is_news: Callable[[Item | None], bool], seconds: float
    ) -> Item | None:
        """Return the item as soon as `is_news` is true of it; None is an absent one.

        Raises Unchanged when `seconds` (a little less, so that herds spread) are over, or the
        store's error if it cannot be read by then.
        """
        waiter = _Waiter(is_news, asyncio.get_running_loop().create_future())
        self._watched.setdefault(name, _Watched()).waiters.add(waiter)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_each_tick())
        try:
            async with asyncio.timeout(seconds * (1 - random.uniform(0, JITTER))):  # noqa: S311
                found = await waiter.news
        except TimeoutError:
            raise (self._failure or Unchanged()) from None
        finally:
            self._leave(name, waiter)
        if isinstance(found, SpringfieldError):
            raise found
        return found

    def tell(self, name: Name, found: Found) -> None:
        """Say what a name holds now, to those for whom it is news."""
        watched = self._watched.get(name)
        if watched is None:
            return
        for waiter in watched.waiters:
            if waiter.news.done():
                continue
            if isinstance(found, SpringfieldError) or waiter.is_news(found):
                waiter.news.set_result(found)

    def release(self) -> None:
        """Tell everybody that the time is up: the service stops."""
        for watched in self._watched.values():
            for waiter in watched.waiters:
                if not waiter.news.done():
                    waiter.news.set_exception(Unchanged())

    def _leave(self, name: Name, waiter: _Waiter) -> None:
        watched = self._watched[name]
        watched.waiters.discard(waiter)
        if not watched.waiters:
            del self._watched[name]
        if not self._watched and self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _read_each_tick(self) -> None:
        while True:
            await asyncio.sleep(self._tick)
            try:
                for batch in self._batches():
                    await self._read(batch)
                self._failure = None
            except StoreError as error:
                self._failure = error

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

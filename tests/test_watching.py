"""Those who wait, and when their time is up."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, cast

import pytest

from springfield.errors import Unavailable
from springfield.model import Item, Name, Precondition
from springfield.stores.store import Store
from springfield.watching import BATCH_BYTES, BATCH_NAMES, GRAIN, Unchanged, Watch

ITEM = Item(b"old")
KNOWN = Precondition(none_match=(ITEM.entity_tag,))


class Still:
    """A store in which nothing changes."""

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item]:
        return dict.fromkeys(names, ITEM)


@pytest.fixture
async def watch() -> Watch:
    return Watch(cast("Store", Still()), tick=0.05)


async def test_those_who_leave_take_nobody_with_them(watch: Watch) -> None:
    waiters = [watch.wait(Name(f"n{number % 7}"), KNOWN, 0.3) for number in range(200)]
    for waiter in waiters[::2]:
        waiter.cancel()
    ended = await asyncio.gather(*waiters, return_exceptions=True)
    assert {type(each) for each in ended[::2]} == {asyncio.CancelledError}
    assert {type(each) for each in ended[1::2]} == {Unchanged}
    assert watch.waiting == 0


async def test_times_are_up_in_their_order_and_early_by_the_jitter_and_the_grain_at_most(
    watch: Watch,
) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    ended: list[tuple[float, float]] = []

    async def wait(seconds: float) -> None:
        with pytest.raises(Unchanged):
            await watch.wait(Name("n"), KNOWN, seconds)
        ended.append((seconds, loop.time() - started))

    await asyncio.gather(*(wait(seconds) for seconds in (0.8, 0.2, 0.5)))
    assert [seconds for seconds, _ in ended] == [0.2, 0.5, 0.8]
    assert all(took > seconds * 0.94 - GRAIN for seconds, took in ended)


async def test_no_wait_is_planned_to_end_after_its_time(watch: Watch) -> None:
    loop = asyncio.get_running_loop()
    waiters = []
    for number in range(200):
        seconds = number * 0.003
        waiter = watch.wait(Name("n"), KNOWN, seconds)
        assert cast("Any", waiter).ending.timer.when() <= loop.time() + seconds
        waiters.append(waiter)
    assert len({cast("Any", waiter).ending for waiter in waiters}) < 0.6 / GRAIN + 3  # shared
    ended = await asyncio.gather(*waiters, return_exceptions=True)
    assert {type(each) for each in ended} == {Unchanged}
    assert watch.waiting == 0


class Slow:
    """A store whose reads are answered one by one, with what was there when they began."""

    def __init__(self) -> None:
        self.content = ITEM
        self.reads = asyncio.Queue[asyncio.Event]()

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item]:
        found = dict.fromkeys(names, self.content)
        answered = asyncio.Event()
        self.reads.put_nowait(answered)
        await answered.wait()
        return found


def knowing(item: Item) -> Precondition:
    return Precondition(none_match=(item.entity_tag,))


async def test_who_waits_is_told_nothing_older_than_what_he_has_read() -> None:
    store, name = Slow(), Name("n")
    watch = Watch(cast("Store", store), tick=0.01)
    old, new = ITEM, Item(b"new")
    early = watch.wait(name, knowing(new), 20)
    tick = await store.reads.get()  # it will find the old item
    store.content = new
    late = watch.wait(name, knowing(new), 20)
    tick.set()
    assert (await early) is old
    (await store.reads.get()).set()
    (await store.reads.get()).set()
    assert not late.done()
    store.content = newest = Item(b"newest")
    while not late.done():
        (await store.reads.get()).set()
        await asyncio.sleep(0)
    assert late.result() is newest


async def test_what_was_written_is_looked_at_at_once_and_again_for_those_who_came_meanwhile() -> (
    None
):
    store, name = Slow(), Name("n")
    watch = Watch(cast("Store", store), tick=3600)
    first = watch.wait(name, KNOWN, 20)
    store.content = Item(b"1")
    watch.changed(name)
    look = await store.reads.get()
    second = watch.wait(name, knowing(store.content), 20)
    store.content = Item(b"2")
    watch.changed(name)
    look.set()
    assert (await first) == Item(b"1")
    (await store.reads.get()).set()
    assert (await second) == Item(b"2")
    watch.changed(name)  # nobody waits: nothing is read
    await asyncio.sleep(0)
    assert store.reads.empty()
    assert watch.waiting == 0


async def test_a_look_that_fails_is_made_good_by_the_next_tick() -> None:
    class Failing(Still):
        failures = 2

        async def read(self, names: Collection[Name]) -> Mapping[Name, Item]:
            if self.failures:
                self.failures -= 1
                raise Unavailable("doh")
            return dict.fromkeys(names, Item(b"new"))

    watch = Watch(cast("Store", Failing()), tick=0.01)
    waiter = watch.wait(Name("n"), KNOWN, 20)
    watch.changed(Name("n"))
    assert await waiter == Item(b"new")


async def test_a_change_between_the_read_and_the_wait_is_looked_at_at_once() -> None:
    store, name = Slow(), Name("n")
    watch = Watch(cast("Store", store), tick=3600)
    before = watch.changes
    store.content = Item(b"new")
    watch.changed(name)  # nobody waits yet
    waiter = watch.wait(name, KNOWN, 20, since=before)
    (await store.reads.get()).set()
    assert await waiter == Item(b"new")
    still = watch.wait(name, knowing(store.content), 20, since=watch.changes)
    await asyncio.sleep(0)
    assert store.reads.empty()  # nothing was missed: nothing is read before the tick
    still.cancel()


async def test_those_who_may_have_missed_a_change_share_a_read() -> None:
    store = Slow()
    watch = Watch(cast("Store", store), tick=3600)
    before = watch.changes
    watch.changed(Name("another"))
    waiters = [watch.wait(Name(f"n{n % 100}"), KNOWN, 20, since=before) for n in range(1000)]
    (await store.reads.get()).set()
    await asyncio.sleep(0.01)
    assert store.reads.empty()
    assert not any(waiter.done() for waiter in waiters)  # they know what there is
    watch.release()
    await asyncio.gather(*waiters, return_exceptions=True)


class Counting:
    """A store that counts reads, and may hold large items."""

    def __init__(self, size: int = 3) -> None:
        self.item = Item(b"x" * size)
        self.reads: list[int] = []
        """How many names each read asked for."""
        self._done = asyncio.Queue[None]()

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item]:
        self.reads.append(len(names))
        self._done.put_nowait(None)
        return dict.fromkeys(names, self.item)

    async def ticks(self, reads: int) -> None:
        """Return when so many reads more have been done."""
        for _ in range(reads):
            await self._done.get()


async def test_however_many_wait_a_tick_costs_one_read_of_all_names() -> None:
    store = Counting()
    watch = Watch(cast("Store", store), tick=0.02)
    waiters = [watch.wait(Name(f"n{n % 60}"), knowing(store.item), 60) for n in range(3000)]
    started = asyncio.get_running_loop().time()
    await store.ticks(5)
    elapsed = asyncio.get_running_loop().time() - started
    assert set(store.reads) == {60}
    assert len(store.reads) <= elapsed / 0.02 + 1
    watch.release()
    await asyncio.gather(*waiters, return_exceptions=True)


async def test_what_a_tick_reads_is_bounded_in_names_and_in_bytes() -> None:
    small, large = Counting(), Counting(size=BATCH_BYTES // 4)
    for store, number, reads in (
        (small, 2 * BATCH_NAMES + 1, [BATCH_NAMES, BATCH_NAMES, 1] * 2),
        (large, 9, [9, 4, 4, 1]),  # the sizes are known from the first read
    ):
        watch = Watch(cast("Store", store), tick=0.01)
        waiters = [watch.wait(Name(f"n{n}"), knowing(store.item), 60) for n in range(number)]
        await store.ticks(len(reads))
        assert store.reads[: len(reads)] == reads
        watch.release()
        await asyncio.gather(*waiters, return_exceptions=True)

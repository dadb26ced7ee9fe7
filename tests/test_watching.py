"""Those who wait, and when their time is up."""

import asyncio
from collections.abc import Collection, Mapping
from typing import cast

import pytest

from springfield.errors import Unavailable
from springfield.model import Item, Name, Precondition
from springfield.stores.store import Store
from springfield.watching import Unchanged, Watch

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


async def test_times_are_up_in_their_order_and_never_early_by_more_than_the_jitter(
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
    assert all(took > seconds * 0.9 for seconds, took in ended)


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

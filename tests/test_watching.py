"""Those who wait, and when their time is up."""

import asyncio
from collections.abc import Collection, Mapping
from typing import cast

import pytest

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

"""What a deadline must not reach."""

import asyncio
from collections.abc import Collection, Mapping
from typing import cast

from springfield.model import Item, Name, Precondition
from springfield.resilience.deadline import deadline
from springfield.stores.store import Store
from springfield.watching import Watch


class Looking:
    """A store that notes the deadline of whoever reads."""

    def __init__(self) -> None:
        self.deadlines: list[float | None] = []

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item]:
        self.deadlines.append(deadline.get())
        return {name: Item(b"news") for name in names}


async def test_the_deadline_of_who_came_first_is_not_that_of_all_who_wait() -> None:
    store = Looking()
    watch = Watch(cast("Store", store), 0.01)
    deadline.set(asyncio.get_running_loop().time() + 30)
    condition = Precondition(none_match=frozenset({"old"}))
    found = await watch.wait(Name("x"), condition, 30)
    assert found == Item(b"news")
    assert store.deadlines == [None]

"""In charge of the contract's part on lifetimes: items that end by the store's own clock."""

import asyncio
import time

import pytest

from springfield.errors import NotStorable
from springfield.model import Item, Kind, Name
from springfield.stores.store import Adapter
from tests.stores.place import Place, all_names, content, read_item, read_one, write_one

HOMER = Name("homer")


class ExpiryContract:
    """Part of `StoreContract`. A store that cannot expire items refuses, and ignores nothing."""

    @pytest.fixture
    def refuses(self, place: Place) -> bool:
        return not place.expires

    async def test_an_item_with_a_lifetime_says_when_it_ends(
        self, store: Adapter, kind: Kind, refuses: bool
    ) -> None:
        before = time.time()
        written = await store.write({HOMER: Item(content(kind, "doh"), ttl=100)})
        if refuses:
            assert isinstance(written[HOMER], NotStorable)
            assert await read_one(store, "homer") is None
            return
        item = await read_item(store, "homer")
        assert item.content == content(kind, "doh")
        assert item.expires_at is not None
        assert before + 99 < item.expires_at < time.time() + 101

    async def test_at_its_end_an_item_is_absent_for_reads_lists_and_swaps(
        self, store: Adapter, kind: Kind, refuses: bool
    ) -> None:
        if refuses:
            with pytest.raises(NotStorable):
                await store.swap(HOMER, None, Item(content(kind, "doh"), ttl=1))
            return
        await write_one(store, "stays", content(kind, "doh"))
        await store.write({HOMER: Item(content(kind, "doh"), ttl=1)})
        item = await read_item(store, "homer")
        assert item.expires_at is not None
        assert await all_names(store) == ["homer", "stays"]
        await _until(item.expires_at)
        assert await store.read([HOMER]) == {}
        assert await all_names(store) == ["stays"]
        assert not await store.swap(HOMER, item, Item(content(kind, "late")))
        assert await store.swap(HOMER, None, Item(content(kind, "new")))
        assert (await read_item(store, "homer")).expires_at is None

    async def test_an_item_that_is_rewritten_without_a_lifetime_lives_for_ever_again(
        self, store: Adapter, kind: Kind, refuses: bool
    ) -> None:
        lifetime = None if refuses else 1
        await store.write({HOMER: Item(content(kind, "doh"), ttl=lifetime)})
        item = await read_item(store, "homer")
        await store.write({HOMER: Item(content(kind, "again"))})
        assert (await read_item(store, "homer")).expires_at is None
        if item.expires_at is not None:
            await _until(item.expires_at)
        assert await read_one(store, "homer") == content(kind, "again")

    async def test_a_swap_may_give_keep_or_end_a_lifetime(
        self, store: Adapter, kind: Kind, refuses: bool
    ) -> None:
        if refuses:
            await write_one(store, "homer", content(kind, "doh"))
            read = await read_item(store, "homer")
            with pytest.raises(NotStorable):
                await store.swap(HOMER, read, Item(content(kind, "new"), ttl=100))
            assert await read_one(store, "homer") == content(kind, "doh")
            return
        assert await store.swap(HOMER, None, Item(content(kind, "1"), ttl=100))
        first = await read_item(store, "homer")
        assert first.expires_at is not None
        kept = Item(content(kind, "2"), expires_at=first.expires_at)
        assert await store.swap(HOMER, first, kept)
        second = await read_item(store, "homer")
        assert second.expires_at == first.expires_at
        assert await store.swap(HOMER, second, Item(content(kind, "3")))
        assert (await read_item(store, "homer")).expires_at is None

    @pytest.mark.parametrize("end", [253402300800.0, 1e12])
    async def test_an_end_after_the_year_9999_is_read_and_kept(
        self, store: Adapter, kind: Kind, refuses: bool, end: float
    ) -> None:
        new = Item(content(kind, "doh"), expires_at=end)
        if refuses:
            with pytest.raises(NotStorable):
                await store.swap(HOMER, None, new)
            return
        assert await store.swap(HOMER, None, new)
        read = await read_item(store, "homer")
        assert read.expires_at == end
        assert await store.swap(HOMER, read, Item(content(kind, "2"), expires_at=end))
        assert (await read_item(store, "homer")).expires_at == end
        assert await all_names(store) == ["homer"]

    async def test_in_a_batch_each_item_has_its_own_lifetime(
        self, store: Adapter, kind: Kind, refuses: bool
    ) -> None:
        written = await store.write(
            {
                Name("short"): Item(content(kind, "a"), ttl=50),
                Name("long"): Item(content(kind, "b"), ttl=500),
                Name("ever"): Item(content(kind, "c")),
            }
        )
        assert await read_one(store, "ever") == content(kind, "c")
        assert isinstance(written[Name("short")], NotStorable) == refuses
        assert isinstance(written[Name("long")], NotStorable) == refuses
        if not refuses:
            short, long = await read_item(store, "short"), await read_item(store, "long")
            assert short.expires_at is not None
            assert long.expires_at is not None
            assert 449 < long.expires_at - short.expires_at < 451


async def _until(moment: float) -> None:
    """Wait for this moment of the clock that the test and its servers share."""
    await asyncio.sleep(max(0.0, moment - time.time()) + 0.01)

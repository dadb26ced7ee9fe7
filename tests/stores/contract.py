"""In charge of what every store must do. One suite that every adapter and every wrapper passes.

A file of a few lines per adapter subclasses `StoreContract` and gives the fixture `place`. What a
store cannot do is declared there and asserted here as a refusal; test ids are the same everywhere.
Compare-and-set and lifetimes have a file each: `contract_swap.py`, `contract_expiry.py`.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from springfield.errors import (
    Missing,
    NameCollision,
    NotStorable,
    OutcomeUnknown,
    TooLarge,
    Unavailable,
)
from springfield.model import Item, Kind, Name
from springfield.resources import Collection
from springfield.stores.coalesced import Coalesced
from springfield.stores.store import Adapter, StoreOptions
from tests.stores.contract_expiry import ExpiryContract
from tests.stores.contract_swap import SwapContract
from tests.stores.eventually import eventually
from tests.stores.place import (
    ALL_BYTES,
    DOCUMENTS,
    MEBIBYTE,
    NAMES,
    Place,
    all_names,
    content,
    exactly,
    read_one,
    refusals,
    write_one,
)


class StoreContract(SwapContract, ExpiryContract):
    """Subclass it, name it Test…, and give the fixture `place`."""

    @pytest.fixture(params=["json", "text", "bytes"])
    def kind(self, request: pytest.FixtureRequest) -> Kind:
        return Kind(request.param)

    @pytest.fixture
    def options(self, kind: Kind, place: Place) -> StoreOptions:
        return StoreOptions("things", kind, timeout=place.timeout, pool_size=8)

    @pytest.fixture
    async def store(self, place: Place, options: StoreOptions) -> AsyncIterator[Adapter]:
        async with place.open_store(place.url, options) as store:
            await store.prepare()
            yield store

    @pytest.fixture
    async def json_store(self, place: Place) -> AsyncIterator[Adapter]:
        options = StoreOptions("things", Kind.JSON, timeout=place.timeout, pool_size=8)
        async with place.open_store(place.url, options) as store:
            await store.prepare()
            yield store

    @pytest.fixture
    async def bytes_store(self, place: Place) -> AsyncIterator[Adapter]:
        # What it is used for is not about time: a busy machine is to change nothing.
        options = StoreOptions("things", Kind.BYTES, timeout=30.0, pool_size=8)
        async with place.open_store(place.url, options) as store:
            await store.prepare()
            yield store

    async def test_its_pool_is_told_and_comes_back_whole(
        self, place: Place, options: StoreOptions
    ) -> None:
        async with place.open_store(place.url, options) as store:
            pool = getattr(store, "pool", None)
            assert (pool is not None) == place.has_pool
            if pool is None:
                return
            await store.prepare()
            await read_one(store, "first")  # whatever it has to learn of its servers
            calls = [asyncio.create_task(read_one(store, f"n{each}")) for each in range(100)]
            busy = []
            while not all(call.done() for call in calls):
                busy.append(pool())
                await asyncio.sleep(0)
            await asyncio.gather(*calls)
            await eventually(lambda: pool()[2:] == (0, 0))
            assert all(0 <= each.in_use <= each.open for each in busy)
            assert max(each.in_use for each in busy) > 1
            assert max(each.waiting for each in busy) > 0
            assert 0 < pool().open <= pool().size

    # What was written comes back.

    async def test_an_absent_name_is_absent(self, store: Adapter) -> None:
        assert await store.read([Name("nobody")]) == {}

    async def test_content_comes_back_exactly(self, store: Adapter, kind: Kind) -> None:
        await write_one(store, "homer", content(kind, "doh"))
        assert await read_one(store, "homer") == content(kind, "doh")

    async def test_a_write_overwrites(self, store: Adapter, kind: Kind) -> None:
        await write_one(store, "homer", content(kind, "first"))
        await write_one(store, "homer", content(kind, "second"))
        await write_one(store, "homer", content(kind, "second"))
        assert await read_one(store, "homer") == content(kind, "second")
        assert await all_names(store) == ["homer"]

    async def test_another_connection_sees_what_was_written(
        self, store: Adapter, place: Place, options: StoreOptions, kind: Kind
    ) -> None:
        await write_one(store, "homer", content(kind, "doh"))
        async with place.open_store(place.url, options) as other:
            assert await read_one(other, "homer") == content(kind, "doh")

    @pytest.mark.parametrize("size", [0, 1, MEBIBYTE])
    async def test_bytes_of_any_value_and_size_come_back(
        self, bytes_store: Adapter, size: int
    ) -> None:
        value = (ALL_BYTES * (size // 256 + 1))[:size]
        await write_one(bytes_store, "homer", value)
        assert await read_one(bytes_store, "homer") == value

    async def test_one_byte_over_the_limit_is_refused_and_the_old_item_stays(
        self, bytes_store: Adapter
    ) -> None:
        collection = Collection(
            "things", Kind.BYTES, Coalesced(bytes_store, "things"), item_limit=MEBIBYTE
        )
        await collection.put("homer", b"old")
        with pytest.raises(TooLarge):
            await collection.put("homer", bytes(MEBIBYTE + 1))
        assert (await collection.get("homer")).content == b"old"

    @pytest.mark.parametrize("text", ["", "a\0b", " lisa  ", "é🍩\r\n\ufeff", "%s %(x)s {0} \\'\""])
    async def test_text_comes_back_exactly(self, place: Place, text: str) -> None:
        options = StoreOptions("things", Kind.TEXT, timeout=place.timeout)
        async with place.open_store(place.url, options) as store:
            await store.prepare()
            await write_one(store, "lisa", text.encode())
            assert await read_one(store, "lisa") == text.encode()

    @pytest.mark.parametrize("case", DOCUMENTS)
    async def test_a_json_document_comes_back_exactly(
        self, json_store: Adapter, place: Place, case: str
    ) -> None:
        document = DOCUMENTS[case].encode()
        await write_one(json_store, "homer", b'"old"')
        refused_names = refusals(await json_store.write({Name("homer"): Item(document)}))
        found = await read_one(json_store, "homer")
        if case in place.refused_json:
            assert isinstance(refused_names[Name("homer")], NotStorable)
            assert found == b'"old"'
        else:
            assert refused_names == {}
            assert found is not None
            assert exactly(found) == exactly(document)

    # Many names in one call.

    async def test_many_names_in_one_call(self, store: Adapter, kind: Kind) -> None:
        items = {Name(f"n{number:04}"): Item(content(kind, str(number))) for number in range(300)}
        assert refusals(await store.write(items)) == {}
        found = await store.read([*items, Name("nobody")])
        assert {name: item.content for name, item in found.items() if isinstance(item, Item)} == {
            name: item.content for name, item in items.items()
        }
        assert await store.delete([*list(items)[:299], Name("nobody")]) == {}
        assert await all_names(store) == ["n0299"]

    async def test_no_names_in_one_call(self, store: Adapter) -> None:
        assert await store.read([]) == {}
        assert refusals(await store.write({})) == {}
        assert await store.delete([]) == {}

    async def test_deleting_removes_and_may_be_repeated(self, store: Adapter, kind: Kind) -> None:
        await write_one(store, "homer", content(kind, "doh"))
        assert await store.delete([Name("homer")]) == {}
        assert await store.delete([Name("homer")]) == {}
        assert await read_one(store, "homer") is None

    # Names.

    @pytest.mark.parametrize("case", NAMES)
    async def test_a_name_is_kept_exactly_or_refused(
        self, bytes_store: Adapter, place: Place, case: str
    ) -> None:
        name = Name(NAMES[case])
        refused_names = refusals(await bytes_store.write({name: Item(b"doh")}))
        expected = place.refused_names.get(case)
        if expected is None:
            assert refused_names == {}
            assert await read_one(bytes_store, name) == b"doh"
            assert await all_names(bytes_store) == [name]
            assert await bytes_store.delete([name]) == {}
        else:
            assert isinstance(refused_names[name], expected)
        assert await all_names(bytes_store) == []
        assert await bytes_store.read([name]) == {}

    async def test_names_that_look_alike_are_kept_apart(
        self, bytes_store: Adapter, place: Place
    ) -> None:
        kept = {name for case, name in NAMES.items() if case not in place.refused_names}
        for name in NAMES.values():
            refused_names = refusals(await bytes_store.write({Name(name): Item(name.encode())}))
            if refused_names:
                assert isinstance(refused_names[Name(name)], NotStorable | NameCollision)
                kept.discard(name)
        found = await bytes_store.read([Name(name) for name in kept])
        assert {name: item.content for name, item in found.items() if isinstance(item, Item)} == {
            name: name.encode() for name in kept
        }
        assert await all_names(bytes_store) == sorted(kept, key=str.encode)

    async def test_one_refused_name_fails_alone(self, bytes_store: Adapter, place: Place) -> None:
        names = [
            Name("before"),
            *(Name(NAMES[case]) for case in place.refused_names),
            Name("after"),
        ]
        refused_names = refusals(await bytes_store.write({name: Item(b"doh") for name in names}))
        assert {"before", "after"}.isdisjoint(refused_names)
        assert await read_one(bytes_store, "before") == b"doh"
        assert await read_one(bytes_store, "after") == b"doh"

    # Listing.

    async def test_names_are_listed_in_byte_order_by_page(self, bytes_store: Adapter) -> None:
        expected = sorted(
            ["b", "a", "B", "é", "z", "\uffee", "\U00010348", "aa", "a b", "a-b"], key=str.encode
        )
        assert (
            refusals(await bytes_store.write({Name(name): Item(b"x") for name in expected})) == {}
        )
        for page in (1, 3, len(expected), 1000):
            assert await all_names(bytes_store, page=page) == expected

    async def test_names_are_listed_by_prefix_taken_literally(
        self, bytes_store: Adapter, place: Place
    ) -> None:
        names = ["a%", "a%b", "ab", "a_", "a*", "A%", "a[b]", "é", "e"]
        if "backslash" not in place.refused_names:
            names.append("a\\")
        assert refusals(await bytes_store.write({Name(name): Item(b"x") for name in names})) == {}
        for prefix in ("a%", "a_", "a*", "a[", "a\\", "A", "é", "nobody"):
            expected = sorted((n for n in names if n.startswith(prefix)), key=str.encode)
            assert await all_names(bytes_store, prefix=prefix, page=2) == expected

    @pytest.mark.parametrize(
        "prefix", ["\0", "a\x00", "a\n", "\x7f", "\x85", "x" * 600, "🍩" * 129, "\U0010ffff"]
    )
    async def test_a_prefix_that_no_name_has_lists_nothing(
        self, bytes_store: Adapter, prefix: str
    ) -> None:
        await write_one(bytes_store, "a", b"x")
        assert await bytes_store.names(prefix, None, 10) == []

    async def test_what_is_there_throughout_is_listed_once_while_others_write(
        self, bytes_store: Adapter
    ) -> None:
        stable = [Name(f"stable-{number:03}") for number in range(100)]
        assert refusals(await bytes_store.write({name: Item(b"x") for name in stable})) == {}
        stop = asyncio.Event()

        async def come_and_go(writer: int) -> None:
            for number in range(10_000):
                if stop.is_set():
                    return
                name = Name(f"stable-{number % 100:03}-{writer}")
                await bytes_store.write({name: Item(b"y")})
                await bytes_store.delete([name])

        writers = [asyncio.create_task(come_and_go(writer)) for writer in range(3)]
        try:
            listed = await all_names(bytes_store, page=7)
        finally:
            stop.set()
            await asyncio.gather(*writers)
        assert [name for name in listed if name in set(stable)] == stable
        assert len(listed) == len(set(listed))

    # Concurrency.

    async def test_of_two_writers_one_wins_whole_and_no_reader_sees_half(
        self, bytes_store: Adapter
    ) -> None:
        values = [bytes([letter]) * 100_000 for letter in b"ab"]
        await write_one(bytes_store, "homer", values[0])

        async def write_often(value: bytes) -> None:
            for _ in range(15):
                await write_one(bytes_store, "homer", value)

        writers = [asyncio.create_task(write_often(value)) for value in values]
        seen = set()
        while not all(writer.done() for writer in writers):
            seen.add(await read_one(bytes_store, "homer"))
        await asyncio.gather(*writers)
        assert seen <= set(values)
        assert await read_one(bytes_store, "homer") in values

    async def test_cancelled_calls_never_hand_a_reply_to_another_caller(
        self, bytes_store: Adapter
    ) -> None:
        names = [Name(f"n{number}") for number in range(20)]
        assert (
            refusals(await bytes_store.write({name: Item(name.encode() * 50) for name in names}))
            == {}
        )
        chance = random.Random(742)
        checked = 0

        async def read_own(name: Name) -> None:
            nonlocal checked
            assert await read_one(bytes_store, name) == name.encode() * 50
            checked += 1

        for _ in range(100):
            tasks = [asyncio.create_task(read_own(chance.choice(names))) for _ in range(24)]
            doomed = chance.sample(tasks, 20)
            for turn in range(4):
                for _ in range(chance.randrange(6)):
                    await asyncio.sleep(0)
                if turn == 2:
                    await asyncio.sleep(chance.random() * 0.003)
                for task in doomed[turn * 5 : turn * 5 + 5]:
                    task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            wrong = [r for r in results if isinstance(r, Exception)]
            assert wrong == [], wrong
        assert checked >= 400
        await asyncio.wait_for(asyncio.gather(*(read_own(name) for name in names)), 10)

    async def test_cancelled_writes_leave_the_store_usable(self, bytes_store: Adapter) -> None:
        chance = random.Random(8)
        for number in range(100):
            tasks = [
                asyncio.create_task(write_one(bytes_store, f"n{writer}", b"%d" % number))
                for writer in range(10)
            ]
            await asyncio.sleep(chance.random() * 0.003)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for writer in range(10):  # at other names: a cancelled write may still happen
            await asyncio.wait_for(write_one(bytes_store, f"last{writer}", b"last"), 10)
            assert await read_one(bytes_store, f"last{writer}") == b"last"

    # Broken stores.

    async def test_a_store_that_is_down_is_unavailable_within_the_deadline(
        self, place: Place, options: StoreOptions, kind: Kind
    ) -> None:
        async with place.open_store(place.down_url, options) as store:
            await self._assert_unavailable(store, options, kind)

    async def test_a_store_that_never_answers_is_unavailable_within_the_deadline(
        self, place: Place, options: StoreOptions, kind: Kind
    ) -> None:
        async with place.open_store(place.silent_url, options) as store:
            await self._assert_unavailable(store, options, kind)

    async def _assert_unavailable(self, store: Adapter, options: StoreOptions, kind: Kind) -> None:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await store.read([Name("homer")])
        assert time.monotonic() - started < options.timeout + 1
        calls: list[Callable[[], Any]] = [
            lambda: store.write({Name("homer"): Item(content(kind, "doh"))}),
            lambda: store.delete([Name("homer")]),
        ]
        for call in calls:
            started = time.monotonic()
            with pytest.raises((Unavailable, OutcomeUnknown)):
                await call()
            assert time.monotonic() - started < options.timeout + 1

    async def test_it_says_what_it_is(self, store: Adapter) -> None:
        await store.ping()
        inspection = await store.inspect()
        assert inspection.product
        assert inspection.version

    async def test_preparing_twice_loses_nothing(self, store: Adapter, kind: Kind) -> None:
        await write_one(store, "homer", content(kind, "doh"))
        await store.prepare()
        assert await read_one(store, "homer") == content(kind, "doh")

    async def test_the_collection_says_what_is_missing(self, store: Adapter, kind: Kind) -> None:
        collection = Collection("homers", kind, Coalesced(store, "homers"), item_limit=MEBIBYTE)
        with pytest.raises(Missing, match="Missing homer: nobody"):
            await collection.get("nobody")

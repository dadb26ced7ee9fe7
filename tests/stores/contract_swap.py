"""In charge of the contract's part on compare-and-set: what `Store.swap` promises."""

import asyncio

import pytest

from springfield.model import Item, Kind, Name
from springfield.stores.store import Adapter
from tests.stores.place import DOCUMENTS, NAMES, Place, content, read_item, read_one, write_one

HOMER = Name("homer")


class SwapContract:
    """Part of `StoreContract`."""

    async def test_a_swap_replaces_the_very_item_that_was_read(
        self, store: Adapter, kind: Kind
    ) -> None:
        await write_one(store, "homer", content(kind, "old"))
        read = await read_item(store, "homer")
        assert await store.swap(HOMER, read, Item(content(kind, "new")))
        assert await read_one(store, "homer") == content(kind, "new")

    async def test_a_swap_of_what_has_changed_meanwhile_changes_nothing(
        self, store: Adapter, kind: Kind
    ) -> None:
        await write_one(store, "homer", content(kind, "old"))
        read = await read_item(store, "homer")
        await write_one(store, "homer", content(kind, "other"))
        assert not await store.swap(HOMER, read, Item(content(kind, "new")))
        assert not await store.swap(HOMER, read, None)
        assert await read_one(store, "homer") == content(kind, "other")
        await store.delete([HOMER])
        assert not await store.swap(HOMER, read, Item(content(kind, "new")))
        assert not await store.swap(HOMER, read, None)
        assert await read_one(store, "homer") is None

    async def test_a_swap_of_nothing_inserts_only_where_nothing_is(
        self, store: Adapter, kind: Kind
    ) -> None:
        assert await store.swap(HOMER, None, Item(content(kind, "first")))
        assert not await store.swap(HOMER, None, Item(content(kind, "second")))
        assert await read_one(store, "homer") == content(kind, "first")

    async def test_a_swap_for_nothing_deletes_the_very_item_that_was_read(
        self, store: Adapter, kind: Kind
    ) -> None:
        await write_one(store, "homer", content(kind, "old"))
        read = await read_item(store, "homer")
        assert await store.swap(HOMER, read, None)
        assert await read_one(store, "homer") is None

    async def test_a_swap_for_equal_content_is_won(self, store: Adapter, kind: Kind) -> None:
        await write_one(store, "homer", content(kind, "same"))
        for _ in range(2):
            read = await read_item(store, "homer")
            assert await store.swap(HOMER, read, Item(content(kind, "same")))

    async def test_a_swap_gives_the_entity_tag_that_the_next_read_gives(
        self, store: Adapter, kind: Kind
    ) -> None:
        swapped = await store.swap(HOMER, None, Item(content(kind, "first")))
        assert swapped is not None
        assert swapped.entity_tag == (await read_item(store, "homer")).entity_tag

    async def test_a_write_gives_the_entity_tag_that_the_next_read_gives(
        self, store: Adapter, kind: Kind
    ) -> None:
        written = await store.write({HOMER: Item(content(kind, "first"))})
        assert written[HOMER] == (await read_item(store, "homer")).entity_tag

    @pytest.mark.parametrize("size", [0, 1, 100_000])
    async def test_bytes_of_any_value_are_compared(self, bytes_store: Adapter, size: int) -> None:
        value = (bytes(range(256)) * (size // 256 + 1))[:size]
        await write_one(bytes_store, "homer", value)
        read = await read_item(bytes_store, "homer")
        assert await bytes_store.swap(HOMER, read, Item(value + b"\0"))
        assert not await bytes_store.swap(HOMER, read, Item(b"late"))
        assert await read_one(bytes_store, "homer") == value + b"\0"

    @pytest.mark.parametrize("case", DOCUMENTS)
    async def test_json_of_any_shape_is_compared(
        self, json_store: Adapter, place: Place, case: str
    ) -> None:
        if case in place.refused_json:
            document = b'{"stands":"for what is refused"}'
        else:
            document = DOCUMENTS[case].encode()
        await write_one(json_store, "homer", document)
        read = await read_item(json_store, "homer")
        assert await json_store.swap(HOMER, read, Item(b'{"new":1}'))
        assert not await json_store.swap(HOMER, read, Item(b'{"late":1}'))
        assert await read_one(json_store, "homer") == b'{"new":1}'

    @pytest.mark.parametrize(
        ("stored", "alike"),
        [
            ("1", "1.0"),
            ("1.0", "1"),
            ('{"a":[1,2]}', '{"a":[1,2.0]}'),
            ('{"a":1,"b":2}', '{"b":2,"a":1}'),
            ("null", "false"),
            ("[5]", "5"),
            ('"a"', '"A"'),
            ('{"a":null}', "{}"),
            ("9007199254740993", "9007199254740992.0"),
        ],
    )
    async def test_json_that_only_looks_equal_is_another_item(
        self, json_store: Adapter, stored: str, alike: str
    ) -> None:
        await write_one(json_store, "homer", alike.encode())
        read = await read_item(json_store, "homer")
        await write_one(json_store, "homer", stored.encode())
        assert not await json_store.swap(HOMER, read, Item(b'"late"'))
        assert await read_one(json_store, "homer") == stored.encode()

    @pytest.mark.parametrize("case", NAMES)
    async def test_a_swap_touches_the_item_of_exactly_this_name(
        self, bytes_store: Adapter, place: Place, case: str
    ) -> None:
        if case in place.refused_names:
            with pytest.raises(place.refused_names[case]):
                await bytes_store.swap(Name(NAMES[case]), None, Item(b"new"))
            return
        bystanders = ["Lisa", "cafe", "x ", "a/b", "A%"]
        for name in bystanders:
            await write_one(bytes_store, name, b"bystander")
        name = Name(NAMES[case])
        assert await bytes_store.swap(name, None, Item(b"new"))
        read = await read_item(bytes_store, name)
        assert await bytes_store.swap(name, read, Item(b"newer"))
        assert await bytes_store.swap(name, await read_item(bytes_store, name), None)
        for bystander in bystanders:
            assert await read_one(bytes_store, bystander) == b"bystander"

    async def test_of_many_racers_under_one_item_exactly_one_wins(
        self, store: Adapter, kind: Kind
    ) -> None:
        await write_one(store, "homer", content(kind, "old"))
        read = await read_item(store, "homer")
        contents = [content(kind, f"racer {number}") for number in range(20)]
        won = await asyncio.gather(*(store.swap(HOMER, read, Item(each)) for each in contents))
        (winner,) = (each for each, swapped in zip(contents, won, strict=True) if swapped)
        assert await read_one(store, "homer") == winner

    async def test_of_many_racers_to_insert_exactly_one_wins(
        self, store: Adapter, kind: Kind
    ) -> None:
        contents = [content(kind, f"racer {number}") for number in range(20)]
        won = await asyncio.gather(*(store.swap(HOMER, None, Item(each)) for each in contents))
        (winner,) = (each for each, swapped in zip(contents, won, strict=True) if swapped)
        assert await read_one(store, "homer") == winner

    async def test_counting_by_swaps_loses_no_step(self, json_store: Adapter, place: Place) -> None:
        await write_one(json_store, "homer", b"0")

        async def count(steps: int) -> None:
            while steps:
                read = await read_item(json_store, "homer")
                following = str(int(read.content) + 1).encode()
                if await json_store.swap(HOMER, read, Item(following)):
                    steps -= 1

        await asyncio.gather(*(count(place.race_steps) for _ in range(4)))
        assert await read_one(json_store, "homer") == b"%d" % (4 * place.race_steps)

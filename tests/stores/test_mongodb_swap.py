"""Compare-and-set on MongoDB, beyond what every store promises."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from springfield.errors import NotStorable, OutcomeUnknown
from springfield.model import Item, Kind, Name, entity_tag_of
from springfield.resources import Collection
from springfield.stores.coalesced import Coalesced
from springfield.stores.mongodb import adapter, updates
from springfield.stores.mongodb.adapter import open_store
from springfield.stores.mongodb.exactness import DEPTH_LIMIT
from springfield.stores.store import Adapter, StoreOptions, Swapped
from tests.servers.mongodb import MongodbServer
from tests.stores.mongodb_documents import JSON, Documents, ReplyThief, new_documents, url_of
from tests.stores.place import read_item, read_one, write_one

HOMER = Name("homer")
NEW = Item(b'"new"')
MEBIBYTE = 1024 * 1024


@pytest.fixture
async def documents(mongodb_server: MongodbServer) -> AsyncIterator[Documents]:
    async with new_documents(mongodb_server) as documents:
        yield documents


@pytest.fixture
def url(mongodb_server: MongodbServer, documents: Documents) -> str:
    return url_of(mongodb_server, documents)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Adapter]:
    """A store that was not prepared: there is no unique index."""
    async with open_store(url, JSON) as store:
        yield store


async def put(documents: Documents, content: Any) -> None:
    """Write as another program does."""
    await documents.replace_one(
        {"name": "homer"}, {"name": "homer", "content": content}, upsert=True
    )


def nested(value: Any, depth: int) -> Any:
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


# The very value.


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
        DatetimeMS(2**60),
        ObjectId("6b02bbe47fe7973a816af855"),
        Decimal128("1.10"),
        Decimal128("NaN"),
        Int64(5),
        [0.0, -0.0, float("inf"), float("nan"), 2.0**63],
        Regex("^d'oh", "i"),
        Timestamp(1, 2),
        Code("doh()"),
        Code("doh()", {"a": 1}),
        [MinKey(), MaxKey()],
        {"$ref": "c", "x": 1, "$id": Int64(2)},
        {"$set": {"$literal": 1.0}, "a.b": [Int64(3), {"": 2}]},
        nested(1.0, DEPTH_LIMIT),
        nested(1, 99),
    ],
    ids=str,
)
async def test_a_value_of_another_program_is_recognised(
    store: Adapter, documents: Documents, value: Any
) -> None:
    await put(documents, value)
    read = await read_item(store, "homer")
    assert await store.swap(HOMER, read, NEW)
    assert not await store.swap(HOMER, read, NEW)
    await put(documents, value)
    assert await store.swap(HOMER, read, None) == Swapped(None)
    assert await documents.count_documents({}) == 0


@pytest.mark.parametrize(
    ("read", "stored"),
    [
        (1, Int64(1)),
        (Int64(1), 1),
        (Int64(2**40), float(2**40)),
        (float(2**40), Int64(2**40)),
        (2**53 + 1, float(2**53)),
        (0.0, -0.0),
        (-0.0, 0),
        (1, Decimal128("1")),
        (0.5, Decimal128("0.5")),
        (Decimal128("1.10"), Decimal128("1.1")),
        (float("nan"), Decimal128("NaN")),
        ([1, 2.0], [1.0, 2]),
        ([Int64(1), 2.0], [1.0, Int64(2)]),
        ({"a": [{"b": 0.0}]}, {"a": [{"b": -0.0}]}),
        ({"a.b": {"$c": 1.0}}, {"a.b": {"$c": Int64(1)}}),
        ({"a.b": 1.0}, {"a": {"b": 1.0}}),
        (nested(1.0, DEPTH_LIMIT), nested(Int64(1), DEPTH_LIMIT)),
        ([{"x": 1, "y": 2}], [{"y": 2, "x": 1}]),
        ([5], [[5]]),
        (5, [5]),
        ([], [[]]),
        ([], {}),
        (None, [None]),
        (datetime(2026, 11, 22, tzinfo=UTC), DatetimeMS(1795305600001)),
        (datetime(2026, 11, 22, tzinfo=UTC), "2026-11-22"),
        (ObjectId("6b02bbe47fe7973a816af855"), "6b02bbe47fe7973a816af855"),
        (Regex("a", "i"), Regex("a", "")),
        (Code("a"), "a"),
        (True, 1),
    ],
    ids=str,
)
async def test_a_value_that_only_looks_equal_is_another(
    store: Adapter, documents: Documents, read: Any, stored: Any
) -> None:
    await put(documents, read)
    item = await read_item(store, "homer")
    await put(documents, stored)
    assert not await store.swap(HOMER, item, NEW)
    assert not await store.swap(HOMER, item, None)
    assert await documents.count_documents({"z": {"$exists": False}}) == 1
    assert await read_one(store, "homer") != b'"new"'


async def test_null_is_another_value_than_no_value(store: Adapter, documents: Documents) -> None:
    await put(documents, None)
    read = await read_item(store, "homer")
    await documents.update_one({}, {"$unset": {"content": ""}})
    assert not await store.swap(HOMER, read, NEW)


async def test_a_number_too_deep_to_be_compared_is_refused(
    store: Adapter, documents: Documents
) -> None:
    await put(documents, nested(1.0, DEPTH_LIMIT + 1))
    read = await read_item(store, "homer")
    with pytest.raises(NotStorable, match="deeper than 80"):
        await store.swap(HOMER, read, NEW)
    await write_one(store, "homer", b"1")


async def test_strings_are_compared_as_bytes_where_the_collection_folds_them(
    store: Adapter, documents: Documents
) -> None:
    folding = {"locale": "en", "strength": 1}
    await documents.database.create_collection(documents.name, collation=folding)
    await put(documents, ["Lisa"])
    read = await read_item(store, "homer")
    await put(documents, ["lisa"])
    assert not await store.swap(HOMER, read, NEW)
    assert await store.swap(HOMER, await read_item(store, "homer"), NEW)


@pytest.mark.parametrize(
    "content",
    [
        b'"%s"' % (b"x" * (7 * MEBIBYTE)),
        b"[" + b"1," * 100_000 + b"0.5]",
        b"[" + b"1.0," * 1_000 + b"0]",
    ],
    ids=["seven MiB", "many numbers without a twin", "a thousand numbers with a twin"],
)
async def test_a_large_value_is_compared(store: Adapter, content: bytes) -> None:
    await write_one(store, "homer", content)
    read = await read_item(store, "homer")
    assert await store.swap(HOMER, read, Item(content.replace(b"[", b"[7,").replace(b"x", b"y")))
    assert not await store.swap(HOMER, read, NEW)


async def test_two_values_that_no_command_can_carry_are_refused(store: Adapter) -> None:
    await write_one(store, "homer", b'"%s"' % (b"x" * (9 * MEBIBYTE)))
    read = await read_item(store, "homer")
    with pytest.raises(NotStorable, match="16 MiB"):
        await store.swap(HOMER, read, Item(b'"%s"' % (b"y" * (9 * MEBIBYTE))))
    assert await store.swap(HOMER, read, NEW)


# What a swap leaves alone, and what stops it.


async def test_fields_of_other_programs_survive_a_swap(
    store: Adapter, documents: Documents
) -> None:
    await documents.insert_one({"age": 39, "name": "homer", "content": {"a": 1}, "expires_at": 7})
    assert await store.swap(HOMER, await read_item(store, "homer"), Item(b'{"b":2}'))
    assert await documents.find_one({}, {"_id": 0}) == {
        "age": 39,
        "name": "homer",
        "content": {"b": 2},
        "expires_at": 7,
    }


async def test_a_document_that_cannot_be_read_is_not_taken_for_nothing(
    store: Adapter, documents: Documents
) -> None:
    await documents.insert_one({"name": "homer", "age": 39})
    assert not await store.swap(HOMER, None, NEW)
    assert await documents.find_one({}, {"_id": 0}) == {"name": "homer", "age": 39}


async def test_nothing_for_nothing_is_won_where_nothing_is(store: Adapter) -> None:
    assert await store.swap(HOMER, None, None) == Swapped(None)
    await write_one(store, "homer", b"1")
    assert await store.swap(HOMER, None, None) is None


async def test_without_a_unique_index_an_insertion_still_sees_what_is_there(
    store: Adapter, documents: Documents
) -> None:
    assert await store.swap(HOMER, None, Item(b"1"))
    assert not await store.swap(HOMER, None, NEW)
    assert await documents.count_documents({"content": 1}) == 1


async def test_another_unique_index_refuses_a_swap(store: Adapter, documents: Documents) -> None:
    await documents.create_index("content", unique=True)
    await store.prepare()
    await write_one(store, "bart", b'"new"')
    with pytest.raises(NotStorable, match="unique index"):
        await store.swap(HOMER, None, NEW)
    await write_one(store, "homer", b'"old"')
    with pytest.raises(NotStorable, match="unique index"):
        await store.swap(HOMER, await read_item(store, "homer"), NEW)
    assert await read_one(store, "homer") == b'"old"'


# Entity tags.


async def test_json_has_the_tag_of_what_is_rendered_and_the_rest_that_of_its_bytes(
    url: str,
) -> None:
    spaced, rendered = b'{ "a": 1.50, "b": "\\u00e9" }', '{"a":1.5,"b":"é"}'.encode()
    async with open_store(url, JSON) as store:
        assert not store.verbatim
        assert await store.write({HOMER: Item(spaced)}) == {HOMER: entity_tag_of(rendered)}
        swapped = await store.swap(HOMER, await read_item(store, "homer"), Item(spaced))
        assert swapped == Swapped(entity_tag_of(rendered))
    async with open_store(url, StoreOptions("things", Kind.TEXT)) as store:
        assert store.verbatim
        assert await store.write({HOMER: Item(spaced)}) == {HOMER: entity_tag_of(spaced)}


# Lost answers.


@pytest.mark.parametrize("expects_nothing", [True, False])
async def test_a_swap_whose_answer_is_lost_is_unknown_and_never_told_as_lost(
    mongodb_server: MongodbServer, documents: Documents, expects_nothing: bool
) -> None:
    thief = ReplyThief(mongodb_server)
    async with thief.open() as url, open_store(f"{url}&collection={documents.name}", JSON) as store:
        await store.prepare()
        read = None
        if not expects_nothing:
            await write_one(store, "homer", b'"old"')
            read = await read_item(store, "homer")
        updates = thief.updates
        thief.is_armed = True
        with pytest.raises(OutcomeUnknown):
            await store.swap(HOMER, read, NEW)
        assert thief.updates == updates + 1
        assert await read_one(store, "homer") == b'"new"'


async def test_a_swap_that_a_frozen_server_took_is_unknown(
    own_mongodb_server: MongodbServer,
) -> None:
    options = StoreOptions("things", Kind.JSON, timeout=0.7)
    async with open_store(own_mongodb_server.url, options) as store:
        await write_one(store, "homer", b"1")
        read = await read_item(store, "homer")
        own_mongodb_server.pause()
        swap = asyncio.create_task(store.swap(HOMER, read, NEW))
        with pytest.raises(OutcomeUnknown) as unknown:
            await swap
        assert unknown.value.slow
        own_mongodb_server.resume()
        assert await read_one(store, "homer") in {b"1", b'"new"'}


@pytest.mark.parametrize("value", [datetime(2020, 1, 1, tzinfo=UTC), ObjectId(), float("nan")])
async def test_a_patch_of_a_value_that_json_lacks_blames_the_stored_item(
    store: Adapter, documents: Documents, value: Any
) -> None:
    await put(documents, {"a": value})
    homers = Collection("homers", Kind.JSON, Coalesced(store, "homers"), MEBIBYTE)
    with pytest.raises(NotStorable, match="The stored item has a value of a type that JSON"):
        await homers.patch("homer", b'{"b":1}')
    with pytest.raises(NotStorable, match="The content has the key"):
        await homers.put("homer", b'{"$date":1}')
    assert await documents.count_documents({"content.a": {"$exists": True}, "content.b": None}) == 1
    await homers.patch("homer", b'{"a":2}')
    assert await read_one(store, "homer") == b'{"a":2}'


async def test_large_json_is_encoded_and_compared_off_the_loop(
    store: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set[str]()

    def watch(module: Any, work: str) -> None:
        done = getattr(module, work)

        def call(*arguments: Any) -> Any:
            seen.add(threading.current_thread().name)
            return done(*arguments)

        monkeypatch.setattr(module, work, call)

    watch(updates, "encode_content")
    watch(adapter, "decode_document")
    watch(adapter, "holds_what_was_read")
    large = b"[" + b"[]," * 50_000 + b"1]"
    await write_one(store, "homer", large)
    read = await read_item(store, "homer")
    assert await store.swap(HOMER, read, Item(b"[" + large + b"]"))
    assert seen == {"large-json_0"}

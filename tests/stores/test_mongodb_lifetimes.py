"""Lifetimes on MongoDB, beyond what every store promises: they are asked for, and shared."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from bson import DatetimeMS

from springfield.errors import Misconfigured, NotStorable
from springfield.model import Item, Name
from springfield.stores.mongodb.adapter import open_store
from springfield.stores.store import Adapter
from tests.servers.mongodb import MongodbServer
from tests.stores.mongodb_documents import JSON, Documents, new_documents, url_of
from tests.stores.place import all_names, read_item, read_one, write_one

HOMER = Name("homer")
NEW = Item(b'"new"')


@pytest.fixture
async def documents(mongodb_server: MongodbServer) -> AsyncIterator[Documents]:
    async with new_documents(mongodb_server) as documents:
        yield documents


@pytest.fixture
def url(mongodb_server: MongodbServer, documents: Documents) -> str:
    return url_of(mongodb_server, documents)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Adapter]:
    """A store with lifetimes."""
    async with open_store(url, JSON) as store:
        await store.prepare(with_ttl=True)
        yield store


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


# Preparing.


async def test_preparing_with_ttl_creates_the_ttl_index_once(
    url: str, documents: Documents
) -> None:
    async with open_store(url, JSON) as store:
        assert len(await store.prepare()) == 1
        assert len(await store.prepare(with_ttl=True)) == 1
        assert await store.prepare(with_ttl=True) == []
        assert await store.prepare() == []
    indexes = {each["name"]: each async for each in await documents.list_indexes()}
    assert dict(indexes["expires_at_ttl"]["key"]) == {"expires_at": 1}
    assert indexes["expires_at_ttl"]["expireAfterSeconds"] == 0


async def test_preparing_with_ttl_refuses_where_the_field_is_another_programs(
    url: str, documents: Documents
) -> None:
    await documents.insert_one({"name": "homer", "content": 1, "expires_at": None})
    async with open_store(url, JSON) as store:
        with pytest.raises(Misconfigured, match="`expires_at` of another program"):
            await store.prepare(with_ttl=True)
    assert "expires_at_ttl" not in await documents.index_information()


@pytest.mark.parametrize("name", ["expires_at_ttl", "theirs"])
async def test_preparing_with_ttl_refuses_another_index_on_the_field(
    url: str, documents: Documents, name: str
) -> None:
    await documents.create_index("expires_at", name=name, expireAfterSeconds=3600)
    async with open_store(url, JSON) as store:
        with pytest.raises(Misconfigured, match="another index on `expires_at`"):
            await store.prepare(with_ttl=True)


# Without the index.


async def test_without_the_index_the_field_belongs_to_other_programs(
    url: str, documents: Documents
) -> None:
    theirs = DatetimeMS(1_000)
    await documents.insert_one({"name": "homer", "content": 1, "expires_at": theirs})
    async with open_store(url, JSON) as store:
        item = await read_item(store, "homer")
        assert item == Item(b"1")
        assert await all_names(store) == ["homer"]
        assert await store.swap(HOMER, item, NEW)
        await write_one(store, "homer", b"2")
    assert await documents.count_documents({"content": 2, "expires_at": theirs}) == 1


async def test_without_the_index_a_lifetime_is_refused_with_what_to_do(url: str) -> None:
    async with open_store(url, JSON) as store:
        outcomes = await store.write({HOMER: Item(b"1", ttl=5), Name("lisa"): Item(b"2")})
        assert isinstance(outcomes[HOMER], NotStorable)
        assert "springfield init --with-ttl" in str(outcomes[HOMER])
        assert isinstance(outcomes[Name("lisa")], str)
        with pytest.raises(NotStorable):
            await store.swap(HOMER, None, Item(b"1", expires_at=time.time() + 5))
        assert await all_names(store) == ["lisa"]


async def test_a_view_is_read_and_has_no_lifetimes(
    mongodb_server: MongodbServer, documents: Documents
) -> None:
    await documents.insert_one({"name": "homer", "content": 1, "expires_at": ago(9)})
    view = await documents.database.create_collection(
        f"{documents.name}_view", viewOn=documents.name, pipeline=[]
    )
    async with open_store(url_of(mongodb_server, view), JSON) as store:
        assert await read_item(store, "homer") == Item(b"1")
    await view.drop()


async def test_the_store_that_prepares_lifetimes_has_them_at_once(url: str) -> None:
    async with open_store(url, JSON) as store:
        await write_one(store, "homer", b"1")
        await store.prepare(with_ttl=True)
        assert isinstance((await store.write({HOMER: Item(b"1", ttl=5)}))[HOMER], str)


# With the index.


async def test_a_lifetime_is_a_date_beside_the_content(
    store: Adapter, documents: Documents
) -> None:
    await documents.insert_one({"name": "homer", "content": {"a": 1}, "age": 39})
    text = b'{"$set":{"b":1.0},"c":"$name"}'
    await store.write({HOMER: Item(text, ttl=100)})
    (found,) = await documents.find({}, {"_id": 0}).to_list()
    ends = found.pop("expires_at").replace(tzinfo=UTC)
    assert timedelta(seconds=95) < ends - datetime.now(UTC) < timedelta(seconds=101)
    assert found == {"name": "homer", "content": {"$set": {"b": 1.0}, "c": "$name"}, "age": 39}
    assert await read_one(store, "homer") == text
    await write_one(store, "homer", b"1")
    assert await documents.find_one({}, {"_id": 0}) == {"name": "homer", "content": 1, "age": 39}


async def test_a_lifetime_that_another_program_gave_is_kept_to_the_millisecond(
    store: Adapter, documents: Documents
) -> None:
    ends = DatetimeMS(int(time.time() * 1000) + 100_123)
    await documents.insert_one({"name": "homer", "content": 1, "expires_at": ends})
    item = await read_item(store, "homer")
    assert item.expires_at == int(ends) / 1000
    await store.write({HOMER: Item(b"2", expires_at=item.expires_at)})
    assert await documents.count_documents({"content": 2, "expires_at": ends}) == 1
    assert await store.swap(HOMER, await read_item(store, "homer"), item)
    assert await documents.count_documents({"content": 1, "expires_at": ends}) == 1


@pytest.mark.parametrize("value", [None, 7, "2020-01-01", {"date": 1}], ids=str)
async def test_what_is_no_date_ends_nothing(
    store: Adapter, documents: Documents, value: object
) -> None:
    await documents.insert_one({"name": "homer", "content": 1, "expires_at": value})
    assert await read_item(store, "homer") == Item(b"1")
    assert await all_names(store) == ["homer"]
    assert await store.swap(HOMER, await read_item(store, "homer"), NEW)
    assert await documents.count_documents({"expires_at": {"$exists": True}}) == 0


async def test_what_has_ended_is_absent_while_it_is_still_there(
    store: Adapter, documents: Documents
) -> None:
    await write_one(store, "homer", b"1")
    item = await read_item(store, "homer")
    for new in (NEW, None):
        await documents.update_one({}, {"$set": {"content": 1, "expires_at": ago(0.001)}})
        assert await store.read([HOMER]) == {}
        assert await all_names(store) == []
        assert not await store.swap(HOMER, item, new)
    assert await store.delete([HOMER]) == {}
    assert await documents.count_documents({}) == 0


@pytest.mark.parametrize("ttl", [None, 100])
async def test_of_many_racers_for_the_place_of_what_has_ended_exactly_one_wins(
    store: Adapter, documents: Documents, ttl: int | None
) -> None:
    for _ in range(5):
        await documents.delete_many({})
        await documents.insert_one({"name": "homer", "content": 1, "expires_at": ago(1)})
        racers = [Item(b"%d" % number, ttl=ttl) for number in range(20)]
        won = await asyncio.gather(*(store.swap(HOMER, None, each) for each in racers))
        (winner,) = (each for each, swapped in zip(racers, won, strict=True) if swapped)
        item = await read_item(store, "homer")
        assert item.content == winner.content
        assert (item.expires_at is not None) == (ttl is not None)
        assert await documents.count_documents({}) == 1


async def test_what_lives_keeps_its_value_and_its_end_when_an_insertion_loses(
    store: Adapter, documents: Documents
) -> None:
    await store.write({HOMER: Item(b'{"$a":1}', ttl=100)})
    before = await documents.find_one({})
    assert not await store.swap(HOMER, None, Item(b"2", ttl=5))
    assert await documents.find_one({}) == before


async def test_a_document_that_cannot_be_read_is_not_taken_for_nothing(
    store: Adapter, documents: Documents
) -> None:
    await documents.insert_one({"name": "homer", "age": 39})
    assert not await store.swap(HOMER, None, NEW)
    assert await documents.find_one({}, {"_id": 0}) == {"name": "homer", "age": 39}

"""MongoDB keeps the contract of the stores, and what holds for its documents alone."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from statistics import median
from typing import Any, cast

import pytest
from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex, Timestamp

from springfield.errors import (
    Misconfigured,
    NameCollision,
    NotStorable,
    OutcomeUnknown,
    Unavailable,
    Unreadable,
)
from springfield.model import Item, Kind, Name
from springfield.stores.mongodb.adapter import open_store
from springfield.stores.store import Adapter, Pooled, StoreOptions
from tests.servers.mongodb import MongodbServer
from tests.servers.process import free_port
from tests.stores.contract import StoreContract
from tests.stores.eventually import eventually
from tests.stores.mongodb_documents import JSON, Documents, new_documents, url_of
from tests.stores.place import Place, all_names, read_one, refusals, write_one


@pytest.fixture
async def documents(mongodb_server: MongodbServer) -> AsyncIterator[Documents]:
    async with new_documents(mongodb_server) as documents:
        yield documents


@pytest.fixture
def url(mongodb_server: MongodbServer, documents: Documents) -> str:
    return url_of(mongodb_server, documents)


@pytest.fixture
def silent_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class TestMongoDB(StoreContract):
    @pytest.fixture
    async def place(self, url: str, silent_port: int) -> Place:
        async with open_store(url, JSON) as store:
            await store.prepare(with_ttl=True)
        return place_at(url, silent_port, expires=True)


class TestMongoDBWithoutLifetimes(StoreContract):
    @pytest.fixture
    async def place(self, url: str, silent_port: int) -> Place:
        return place_at(url, silent_port, expires=False)


def place_at(url: str, silent_port: int, *, expires: bool) -> Place:
    return Place(
        open_store,
        url=url,
        down_url=f"mongodb://127.0.0.1:{free_port()}/springfield_test",
        silent_url=f"mongodb://127.0.0.1:{silent_port}/springfield_test",
        timeout=1.5,
        refused_json=frozenset({"big-integer", "extended-json-key", "huge-float", "nul-key"}),
        expires=expires,
    )


# Documents of other programs.


async def test_documents_that_another_program_wrote_are_served(
    url: str, documents: Documents
) -> None:
    await documents.insert_many(
        [
            {"name": "plain", "content": {"z": [1, 2.0, None], "a": {"é": "🍩"}}, "age": 39},
            {
                "name": "rich",
                "content": {
                    "when": datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
                    "who": ObjectId("6b02bbe47fe7973a816af855"),
                    "price": Decimal128("1.10"),
                    "photo": Binary(b"\0\1", 0),
                    "like": Regex("^d'oh", "i"),
                    "clock": Timestamp(1, 2),
                    "script": Code("doh()"),
                    "nothing": float("nan"),
                    "big": Int64(2**60),
                },
            },
        ]
    )
    async with open_store(url, JSON) as store:
        assert await read_one(store, "plain") == '{"z":[1,2.0,null],"a":{"é":"🍩"}}'.encode()
        assert await read_one(store, "rich") == (
            b'{"when":{"$date":"2026-11-22T09:30:00Z"},'
            b'"who":{"$oid":"6b02bbe47fe7973a816af855"},'
            b'"price":{"$numberDecimal":"1.10"},'
            b'"photo":{"$binary":{"base64":"AAE=","subType":"00"}},'
            b'"like":{"$regularExpression":{"pattern":"^d\'oh","options":"i"}},'
            b'"clock":{"$timestamp":{"t":1,"i":2}},'
            b'"script":{"$code":"doh()"},'
            b'"nothing":{"$numberDouble":"NaN"},'
            b'"big":1152921504606846976}'
        )


async def test_one_document_that_cannot_be_served_fails_alone(
    url: str, documents: Documents
) -> None:
    await documents.insert_many(
        [
            {"name": "good", "content": "doh"},
            {"name": "number", "content": 7},
            {"name": "code", "content": Code("doh()")},
            {"name": "empty"},
            {"name": ["good"], "content": "an array that has the name as a member"},
        ]
    )
    async with open_store(url, StoreOptions("things", Kind.TEXT)) as store:
        found = await store.read([Name(n) for n in ("good", "number", "code", "empty")])
        assert found[Name("good")] == Item(b"doh")
        for name in ("number", "code", "empty"):
            assert isinstance(found[Name(name)], Unreadable)
        assert await all_names(store) == ["code", "empty", "good", "number"]


async def test_binary_values_of_any_subtype_are_bytes(url: str, documents: Documents) -> None:
    await documents.insert_many(
        [
            {"name": "uuid", "content": Binary(bytes(16), 4)},
            {"name": "own", "content": Binary(b"doh", 128)},
            {"name": "text", "content": "doh"},
        ]
    )
    async with open_store(url, StoreOptions("things", Kind.BYTES)) as store:
        assert await read_one(store, "uuid") == bytes(16)
        assert await read_one(store, "own") == b"doh"
        with pytest.raises(Unreadable):
            await read_one(store, "text")


async def test_names_that_are_illegal_or_no_strings_are_skipped_without_a_short_page(
    url: str, documents: Documents
) -> None:
    names: list[Any] = ["a", "b\n", "", 7, None, ["a", "aa"], "c", "d", "e" * 513, "f"]
    await documents.insert_many([{"name": name, "content": 1} for name in names])
    async with open_store(url, JSON) as store:
        assert await store.names("", None, 3) == ["a", "c", "d"]
        assert await all_names(store, page=2) == ["a", "c", "d", "f"]


# What Springfield writes.


async def test_what_is_written_is_plain_bson_for_other_programs(
    url: str, documents: Documents
) -> None:
    text = b'{"z":1,"a":{"$set":2147483648,"b.c":1.0},"l":[null,true,"x"]}'
    async with open_store(url, JSON) as store:
        await write_one(store, "homer", text)
    async with open_store(url, StoreOptions("things", Kind.TEXT)) as store:
        await write_one(store, "lisa", b"doh")
    async with open_store(url, StoreOptions("things", Kind.BYTES)) as store:
        await write_one(store, "marge", b"\xff\0")
    found = {each.pop("name"): each async for each in documents.find({}, {"_id": 0})}
    value = {"z": 1, "a": {"$set": 2**31, "b.c": 1.0}, "l": [None, True, "x"]}
    assert found == {
        "homer": {"content": value},
        "lisa": {"content": "doh"},
        "marge": {"content": b"\xff\0"},
    }
    homer = found["homer"]["content"]
    assert list(homer) == ["z", "a", "l"]
    assert [type(each) for each in homer["a"].values()] == [Int64, float]
    assert await documents.count_documents({"content.z": {"$type": "int"}}) == 1


async def test_fields_of_other_programs_survive_and_content_is_replaced_whole(
    url: str, documents: Documents
) -> None:
    await documents.insert_one({"age": 39, "name": "homer", "content": {"a": {"x": 1}}, "job": 7})
    async with open_store(url, JSON) as store:
        await write_one(store, "homer", b'{"a":{"y":2}}')
        assert await read_one(store, "homer") == b'{"a":{"y":2}}'
    assert await documents.find_one({}, {"_id": 0}) == {
        "age": 39,
        "name": "homer",
        "content": {"a": {"y": 2}},
        "job": 7,
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"$ref":"c","b":2,"$id":3}',
        '[{"$ref":"c","$id":{"$set":"6b02bbe47fe7973a816af855"}}]',
    ],
)
async def test_json_that_looks_like_extended_json_comes_back_exactly(
    url: str, documents: Documents, text: str
) -> None:
    async with open_store(url, JSON) as store:
        await write_one(store, "homer", text.encode())
        assert await read_one(store, "homer") == text.encode()
    assert await documents.count_documents({}) == 1


async def test_a_document_over_16_mib_is_refused_alone(url: str, documents: Documents) -> None:
    await documents.insert_one({"name": "full", "content": 1, "notes": "x" * (9 * 1024 * 1024)})
    async with open_store(url, StoreOptions("things", Kind.BYTES)) as store:
        refused = refusals(
            await store.write(
                {
                    Name("full"): Item(bytes(9 * 1024 * 1024)),
                    Name("huge"): Item(bytes(17 * 1024 * 1024)),
                    Name("small"): Item(b"doh"),
                }
            )
        )
        assert {name: type(error) for name, error in refused.items()} == {
            "full": NotStorable,
            "huge": NotStorable,
        }
        assert await read_one(store, "small") == b"doh"
    full = await documents.find_one({"name": "full"}, {"content": 1})
    assert full is not None
    assert full["content"] == 1


# One name, one document.


async def test_concurrent_writes_of_one_new_name_make_one_document(
    url: str, documents: Documents
) -> None:
    async with open_store(url, StoreOptions("things", Kind.JSON, pool_size=16)) as store:
        await store.prepare()
        for round_number in range(10):
            name = Name(f"n{round_number}")
            outcomes = await asyncio.gather(
                *(store.write({name: Item(b"%d" % writer)}) for writer in range(20))
            )
            assert [refusals(outcome) for outcome in outcomes] == [{}] * 20
    assert await documents.count_documents({}) == 10


async def test_a_refusal_by_another_unique_index_is_not_a_collision_of_names(
    url: str, documents: Documents
) -> None:
    await documents.create_index("content", unique=True)
    async with open_store(url, JSON) as store:
        await store.prepare()
        await write_one(store, "homer", b'"doh"')
        refused = refusals(
            await store.write({Name("bart"): Item(b'"doh"'), Name("lisa"): Item(b'"sax"')})
        )
        assert {name: type(error) for name, error in refused.items()} == {"bart": NotStorable}
        assert await read_one(store, "lisa") == b'"sax"'


async def test_of_several_documents_with_one_name_reads_and_writes_take_the_same(
    url: str, documents: Documents
) -> None:
    await documents.insert_many(
        [{"_id": _id, "name": "homer", "content": _id} for _id in ("z", "m", "a")]
    )
    async with open_store(url, JSON) as store:
        assert await read_one(store, "homer") == b'"z"'
        await write_one(store, "homer", b'"new"')
        assert await read_one(store, "homer") == b'"new"'
        assert await all_names(store) == ["homer"]
        assert await documents.count_documents({"content": "new"}) == 1
        assert await store.delete([Name("homer")]) == {}
        assert await documents.count_documents({}) == 0


async def test_a_collection_that_folds_names_keeps_them_apart(
    url: str, documents: Documents
) -> None:
    folding = {"locale": "en", "strength": 2}
    await documents.database.create_collection(documents.name, collation=folding)
    async with open_store(url, JSON) as store:
        assert len(await store.prepare()) == 1
        assert any("collation" in each for each in (await store.inspect()).warnings)
        names = [Name(each) for each in ("lisa", "LISA", "Lisa ")]
        assert (
            refusals(await store.write({name: Item(b'"%s"' % name.encode()) for name in names}))
            == {}
        )
        assert await store.delete([Name("LISA")]) == {}
        assert set(await store.read(names)) == {"lisa", "Lisa "}


async def test_preparing_names_a_duplicate_and_what_to_do(url: str, documents: Documents) -> None:
    await documents.insert_many([{"name": name} for name in ("lisa", "homer", "homer")])
    async with open_store(url, JSON) as store:
        with pytest.raises(Misconfigured, match="several documents with the name 'homer'"):
            await store.prepare()


async def test_preparing_creates_the_index_once(url: str, documents: Documents) -> None:
    async with open_store(url, JSON) as store:
        assert any("no unique index" in each for each in (await store.inspect()).warnings)
        assert len(await store.prepare()) == 1
        assert await store.prepare() == []
        assert (await store.inspect()).warnings == []
    indexes = [each async for each in await documents.list_indexes()]
    assert [(dict(each["key"]), each.get("unique")) for each in indexes] == [
        ({"_id": 1}, None),
        ({"name": 1}, True),
    ]


async def test_a_weak_write_concern_and_reads_from_secondaries_are_warned_of(url: str) -> None:
    async with open_store(f"{url}&w=1&readPreference=secondaryPreferred", JSON) as store:
        warnings = " ".join((await store.inspect()).warnings)
    assert "write concern" in warnings
    assert "read preference" in warnings


# Broken stores.


async def test_it_works_again_after_a_restart_of_the_server(
    own_mongodb_server: MongodbServer,
) -> None:
    async with open_store(own_mongodb_server.url, JSON) as store:
        await store.prepare()
        await asyncio.gather(*(write_one(store, f"n{number}", b"1") for number in range(20)))
        own_mongodb_server.kill()
        with pytest.raises(Unavailable):
            await store.read([Name("n7")])
        with pytest.raises(Unavailable, match="nothing was written"):
            await store.write({Name("n7"): Item(b"2")})
        own_mongodb_server.start()
        assert await read_one(store, "n7") == b"1"
        assert len(await all_names(store)) == 20


async def test_a_server_that_freezes_is_slow_and_a_write_to_it_has_an_unknown_outcome(
    own_mongodb_server: MongodbServer,
) -> None:
    options = StoreOptions("things", Kind.JSON, timeout=0.7)
    async with open_store(own_mongodb_server.url, options) as store:
        await write_one(store, "homer", b"1")
        own_mongodb_server.pause()
        with pytest.raises(OutcomeUnknown) as unknown:
            await store.write({Name("homer"): Item(b"2")})
        assert unknown.value.slow
        with pytest.raises(Unavailable) as unavailable:
            await store.read([Name("homer")])
        assert unavailable.value.slow
        own_mongodb_server.resume()
        await write_one(store, "homer", b"3")
        assert await read_one(store, "homer") == b"3"


async def test_a_write_is_not_done_when_the_pool_is_exhausted(
    own_mongodb_server: MongodbServer,
) -> None:
    options = StoreOptions("things", Kind.JSON, timeout=1, pool_size=1)
    async with open_store(
        f"{own_mongodb_server.url}?timeoutMS=10000&waitQueueTimeoutMS=200", options
    ) as store:
        await write_one(store, "homer", b"1")
        own_mongodb_server.pause()
        first = asyncio.create_task(store.write({Name("homer"): Item(b"2")}))
        second = asyncio.create_task(store.write({Name("homer"): Item(b"3")}))
        with pytest.raises(OutcomeUnknown):
            await first
        with pytest.raises(Unavailable, match="nothing was written"):
            await second
        own_mongodb_server.resume()


async def test_a_cancelled_call_ends_within_its_time_and_keeps_its_connection(
    own_mongodb_server: MongodbServer,
) -> None:
    options = StoreOptions("things", Kind.JSON, timeout=0.7, pool_size=1)
    async with open_store(own_mongodb_server.url, options) as store:
        await write_one(store, "homer", b"1")
        own_mongodb_server.pause()
        read = asyncio.create_task(store.read([Name("homer")]))
        pooled = cast("Pooled", store)
        await eventually(lambda: pooled.pool().in_use == 1)
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(read, 2)
        own_mongodb_server.resume()
        assert await read_one(store, "homer") == b"1"


async def test_a_wrong_password_is_a_mistake_of_the_operator(
    mongodb_server: MongodbServer,
) -> None:
    url = mongodb_server.url.replace("mongodb://", "mongodb://homer:doughnut@")
    async with open_store(url, JSON) as store:
        with pytest.raises(Misconfigured, match="correct user, password") as refused:
            await store.ping()
        assert "doughnut" not in str(refused.value)


async def test_beside_a_name_in_an_array_an_item_lives_where_no_index_forbids_it(
    url: str, documents: Documents
) -> None:
    array = {"name": ["arr", "x"], "content": 1}
    await documents.insert_one(dict(array))
    async with open_store(url, JSON) as store:
        assert await store.swap(Name("arr"), None, Item(b"2"))
        assert await store.swap(Name("arr"), None, Item(b"3")) is None
        assert await read_one(store, "arr") == b"2"
        for content in (b"4", b"4", b"5"):
            assert not refusals(
                await store.write({Name("arr"): Item(content), Name("x"): Item(b"6")})
            )
            assert await read_one(store, "arr") == content
    assert await documents.find({}, {"_id": 0}).to_list() == [
        array,
        {"name": "arr", "content": 5},
        {"name": "x", "content": 6},
    ]


async def test_writes_find_their_document_by_the_index(url: str, documents: Documents) -> None:
    async with open_store(url, JSON) as store:
        await store.prepare()
        few = await _time_of_writes(store)
        await documents.insert_many([{"name": f"n{n}", "content": n} for n in range(20_000)])
        assert await _time_of_writes(store) < 10 * few  # 50 times, where the collection is searched


async def _time_of_writes(store: Adapter) -> float:
    times = []
    for n in range(9):
        began = time.perf_counter()
        await write_one(store, "homer", b"%d" % n)
        await store.swap(Name(f"{began}"), None, Item(b"1"))
        times.append(time.perf_counter() - began)
    return median(times)


# URLs.


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mongodb://127.0.0.1/db?colection=x", "colection"),
        ("mongodb://127.0.0.1/db?w=0", "w=0"),
        ("mongodb://127.0.0.1/db?maxPoolSize=many", "maxpoolsize"),
        ("mongodb://homer:do/nut@127.0.0.1/db", "percent-encode"),
        ("mongodb://homer:do:nut@127.0.0.1/db", "percent-encode"),
        ("mongodb://127.0.0.1:port/db", "no MongoDB URI"),
        ("mongodb://127.0.0.1/db?collection=a$b", r"a\$b|not valid"),
        ("mongodb://127.0.0.1/db?collection=", "not valid"),
    ],
)
async def test_a_url_that_cannot_be_right_is_refused_at_once(url: str, sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence) as refused:
        async with open_store(url, JSON):
            pass
    assert "nut" not in str(refused.value)


async def test_options_of_the_uri_rule_and_ours_fill_the_gaps() -> None:
    url = (
        "mongodb://homer:d%40h@a.example:1,[::1]:2/db?collection=my%20things&w=2"
        "&readPreferenceTags=dc:ny,rack:1&readPreference=nearest&maxPoolSize=3&appName=mine"
    )
    async with open_store(url, StoreOptions("things", Kind.JSON, timeout=3, pool_size=5)) as store:
        documents: Documents = store._documents  # type: ignore[attr-defined]
    settings = documents.database.client.options
    assert documents.full_name == "db.my things"
    assert documents.write_concern.document == {"w": 2}
    assert documents.read_preference.tag_sets == [{"dc": "ny", "rack": "1"}]
    assert settings.pool_options.max_pool_size == 3
    assert settings.pool_options.appname == "mine"
    assert settings.timeout == 3
    assert settings.retry_writes
    assert not settings.retry_reads


async def test_without_a_database_and_a_collection_the_names_are_ours() -> None:
    async with open_store("mongodb://127.0.0.1", JSON) as store:
        documents: Documents = store._documents  # type: ignore[attr-defined]
        assert documents.full_name == "springfield.things"
        assert documents.write_concern.document == {"w": "majority"}


async def test_a_document_whose_name_is_an_array_is_another_programs(
    url: str, documents: Documents
) -> None:
    await documents.insert_one({"name": ["arr", "x"], "content": 1})
    async with open_store(url, JSON) as store:
        await store.prepare()
        assert await read_one(store, "arr") is None
        outcomes = await store.write({Name("arr"): Item(b"2"), Name("y"): Item(b"3")})
        assert isinstance(outcomes[Name("arr")], NameCollision)
        assert await read_one(store, "y") == b"3"
        with pytest.raises(NameCollision):
            await store.swap(Name("arr"), None, Item(b"2"))
        assert await store.delete([Name("arr")]) == {}
    found = await documents.find_one({"name": "arr"}, {"_id": 0})
    assert found == {"name": ["arr", "x"], "content": 1}

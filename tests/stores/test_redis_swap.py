"""Compare-and-set and lifetimes on Redis and Valkey, beside what the contract says of every store."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from springfield.errors import NotStorable, OutcomeUnknown, Unavailable, WrongType
from springfield.model import Item, Kind, Name
from springfield.stores.redis.adapter import open_store
from springfield.stores.store import Adapter, StoreOptions
from tests.servers.redis import RedisServer, ValkeyServer
from tests.stores.eventually import eventually
from tests.stores.place import all_names, read_item, refusals, write_one

OPTIONS = StoreOptions("things", Kind.BYTES, pool_size=4)
HOMER = Name("homer")


@pytest.fixture(params=[RedisServer, ValkeyServer])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A server of each product, which may be told to leave expired keys where they are."""
    with request.param.own(tmp_path, "--enable-debug-command", "yes") as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> Iterator[Any]:
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[Adapter]:
    async with open_store(server.url, OPTIONS) as store:
        yield store


async def test_an_end_that_a_plain_client_set_is_shown_to_the_millisecond(
    store: Adapter, client: Any
) -> None:
    end = round(time.time() * 1000) + 100_123
    client.set("homer", b"doh", pxat=end)
    assert (await read_item(store, "homer")).expires_at == end / 1000
    client.set("homer", b"new", keepttl=True)
    client.set("bart", b"ay")
    found = await store.read([HOMER, Name("nobody"), Name("bart")])
    assert found == {HOMER: Item(b"new", expires_at=end / 1000), Name("bart"): Item(b"ay")}
    client.persist("homer")
    assert (await read_item(store, "homer")).expires_at is None


async def test_an_end_that_was_read_is_kept_to_the_millisecond(store: Adapter, client: Any) -> None:
    await store.write({HOMER: Item(b"old", ttl=100)})
    end = client.pexpiretime("homer")
    read = await read_item(store, "homer")
    assert await store.swap(HOMER, read, Item(b"swapped", expires_at=read.expires_at))
    assert client.pexpiretime("homer") == end
    written = {HOMER: Item(b"written", expires_at=read.expires_at), Name("bart"): Item(b"ay")}
    assert refusals(await store.write(written)) == {}
    assert client.pexpiretime("homer") == end
    assert client.ttl("bart") == -1


async def test_an_end_that_has_passed_leaves_nothing(store: Adapter) -> None:
    await store.write({HOMER: Item(b"late", expires_at=1.0)})
    assert await store.read([HOMER]) == {}
    assert await store.swap(HOMER, None, Item(b"late", expires_at=1.0))
    assert await store.read([HOMER, Name("bart")]) == {}


async def test_an_expired_key_that_is_still_in_memory_is_absent(
    store: Adapter, client: Any
) -> None:
    client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    names = [Name(f"n{number}") for number in range(5)]
    await store.write({name: Item(b"old", ttl=1) for name in names})
    read = await read_item(store, "n0")
    assert read.expires_at is not None
    await eventually(lambda: client.execute_command("TIME")[0] > read.expires_at)
    assert client.dbsize() == 5
    assert await store.read([names[1]]) == {}
    assert await store.read(names[1:3]) == {}
    assert await store.swap(names[3], read, Item(b"new")) is None
    assert await store.swap(names[0], None, Item(b"new"))
    assert client.get("n0") == b"new"
    assert client.dbsize() >= 2
    assert await all_names(store) == ["n0"]


@pytest.mark.parametrize("ttl", [0, -1, 10**14, 10**30])
async def test_a_lifetime_that_redis_cannot_keep_is_refused_alone(store: Adapter, ttl: int) -> None:
    bad = Item(b"doh", ttl=ttl)
    written = await store.write({Name("a"): Item(b"a"), HOMER: bad, Name("b"): Item(b"b", ttl=9)})
    assert list(refusals(written)) == [HOMER]
    assert isinstance(written[HOMER], NotStorable)
    with pytest.raises(NotStorable):
        await store.swap(HOMER, None, bad)
    assert await all_names(store) == ["a", "b"]


async def test_a_swap_on_a_list_is_refused_and_the_list_survives(
    store: Adapter, client: Any
) -> None:
    client.rpush("homer", "a")
    for expected in (None, Item(b"a")):
        for new in (None, Item(b"new"), Item(b"new", ttl=9)):
            with pytest.raises(WrongType, match="list or a hash"):
                await store.swap(HOMER, expected, new)
    assert client.lrange("homer", 0, -1) == [b"a"]


async def test_big_values_are_compared_to_their_last_byte(store: Adapter) -> None:
    big = bytes(range(256)) * 32_768
    await write_one(store, "homer", big)
    assert await store.swap(HOMER, Item(big[:-1] + b"\0"), Item(b"late")) is None
    assert await store.swap(HOMER, Item(big[:-1]), None) is None
    assert await store.swap(HOMER, Item(big), Item(big + b"!"))
    assert (await read_item(store, "homer")).content == big + b"!"


@pytest.mark.parametrize("others", [0, 63])
async def test_a_read_gives_the_content_and_the_end_of_one_write(
    store: Adapter, others: int
) -> None:
    # Long names: Redis takes up what was sent in pieces, and serves others in between.
    names = [HOMER, *(Name(f"{number:0500}") for number in range(others))]
    stop = asyncio.Event()
    seen = set()

    async def alternate() -> None:
        while not stop.is_set():
            await store.write({HOMER: Item(b"mortal", ttl=100)})
            await store.write({HOMER: Item(b"immortal")})

    await write_one(store, "homer", b"immortal")
    writers = [asyncio.create_task(alternate()) for _ in range(3)]
    try:
        for _ in range(1_000):
            item = (await store.read(names))[HOMER]
            assert isinstance(item, Item)
            seen.add((item.content, item.expires_at is None))
    finally:
        stop.set()
        await asyncio.gather(*writers)
    assert seen == {(b"mortal", False), (b"immortal", True)}


async def test_reads_go_on_while_the_memory_is_full(store: Adapter, client: Any) -> None:
    client.rpush("list", "a")
    await store.write({HOMER: Item(b"doh", ttl=100), Name("bart"): Item(b"ay")})
    read = await read_item(store, "homer")
    client.config_set("maxmemory", 1)
    await store.ping()
    assert await read_item(store, "homer") == read
    found = dict(await store.read([Name("list"), HOMER, Name("nobody"), Name("bart")]))
    assert isinstance(found.pop(Name("list")), WrongType)
    assert found == {HOMER: read, Name("bart"): Item(b"ay")}
    with pytest.raises(Unavailable, match="nothing was written"):
        await store.swap(HOMER, read, Item(b"new"))
    assert await store.swap(HOMER, Item(b"other"), Item(b"new")) is None
    assert await store.swap(HOMER, read, None)


async def test_each_call_is_one_exchange(store: Adapter, client: Any) -> None:
    client.rpush("list", "a")
    names = [Name("list"), Name("nobody"), HOMER, *(Name(f"n{number}") for number in range(61))]
    client.config_resetstat()
    await store.write({name: Item(b"doh", ttl=9) for name in names[2:]})
    await store.read(names)
    await store.swap(HOMER, Item(b"doh"), None)
    await store.delete(names)
    counts = client.info("commandstats")
    sent = {
        name: counts[f"cmdstat_{name}"]["calls"] for name in ("eval", "eval_ro", "mget", "exec")
    }
    assert sent == {"eval": 3, "eval_ro": 1, "mget": 1, "exec": 1}


async def test_a_swap_whose_answer_is_lost_is_unknown_and_is_not_repeated(
    server: RedisServer, client: Any
) -> None:
    client.set("homer", b"old")
    client.config_resetstat()
    async with (
        cutting_relay(server.port, b"EVAL") as port,
        open_store(f"redis://127.0.0.1:{port}", OPTIONS) as store,
    ):
        with pytest.raises(OutcomeUnknown, match="may have happened") as caught:
            await store.swap(HOMER, Item(b"old"), Item(b"new"))
        assert not caught.value.slow
    assert client.get("homer") == b"new"
    assert client.info("commandstats")["cmdstat_eval"]["calls"] == 1


@asynccontextmanager
async def cutting_relay(target: int, last_words: bytes) -> AsyncIterator[int]:
    """Listen on a port for the server; cut a connection when `last_words` are being answered."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", target)
        while data := await reader.read(65_536):
            up_writer.write(data)
            answer = await up_reader.read(65_536)
            if last_words in data:
                break
            writer.write(answer)
        up_writer.close()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as relay:
        yield relay.sockets[0].getsockname()[1]


async def test_a_swap_that_a_silent_server_took_is_unknown(
    server: RedisServer, client: Any
) -> None:
    options = StoreOptions("things", Kind.BYTES, timeout=0.4)
    async with open_store(server.url, options) as store:
        await write_one(store, "homer", b"old")
        server.pause()
        with pytest.raises(OutcomeUnknown) as caught:
            await store.swap(HOMER, Item(b"old"), Item(b"new"))
        server.resume()
        assert caught.value.slow
    assert client.get("homer") in {b"old", b"new"}


async def test_a_replica_lets_no_swap_win(store: Adapter, client: Any) -> None:
    await write_one(store, "homer", b"old")
    client.config_set("replica-serve-stale-data", "yes")
    client.replicaof("127.0.0.1", "1")
    with pytest.raises(Unavailable, match="replica"):
        await store.swap(HOMER, Item(b"old"), Item(b"new"))
    assert (await read_item(store, "homer")).content == b"old"


async def test_a_user_that_may_only_read_keys_reads_them(server: RedisServer, client: Any) -> None:
    rules = ("on", ">pw", "%R~*", "+@all")
    client.execute_command("ACL", "SETUSER", "bart", *rules)
    client.set("homer", b"doh", ex=100)
    client.set("lisa", b"sax")
    async with open_store(f"redis://bart:pw@{server.host}:{server.port}", OPTIONS) as store:
        await store.ping()
        assert (await read_item(store, "homer")).expires_at is not None
        found = await store.read([HOMER, Name("nobody"), Name("lisa")])
        assert found[Name("lisa")] == Item(b"sax")


async def test_the_documented_permissions_are_enough(server: RedisServer, client: Any) -> None:
    page = Path(__file__).parents[2] / "docs/reference/stores/redis.md"
    [line] = [line for line in page.read_text().splitlines() if line.startswith("`+eval")]
    rules = line.split("`")[1].split()
    client.execute_command("ACL", "SETUSER", "bart", "on", ">pw", "~the/*", *rules)
    url = f"redis://bart:pw@{server.host}:{server.port}?prefix=the/"
    async with open_store(url, OPTIONS) as store:
        await store.ping()
        assert refusals(await store.write({HOMER: Item(b"doh"), Name("bart"): Item(b"ay")})) == {}
        assert set(await store.read([HOMER, Name("bart")])) == {HOMER, Name("bart")}
        assert await store.swap(HOMER, Item(b"doh"), Item(b"new", ttl=9))
        assert await all_names(store) == ["bart", "homer"]
        assert await store.delete([HOMER, Name("bart")]) == {}

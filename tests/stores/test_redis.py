"""Redis, Valkey and Redis Cluster keep the contract of the stores, and what holds for Redis alone."""

import asyncio
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from springfield.errors import ListingTooExpensive, Misconfigured, Unavailable, WrongType
from springfield.model import Item, Kind, Name
from springfield.stores.redis.adapter import open_store
from springfield.stores.redis.scan import Page
from springfield.stores.store import Adapter, StoreOptions
from tests.servers.process import free_port
from tests.servers.redis import GenuineRedis, RedisServer, ValkeyServer
from tests.servers.redis_cluster import RedisCluster
from tests.stores.contract import StoreContract
from tests.stores.place import Place, all_names, read_one, refusals, write_one

OPTIONS = StoreOptions("things", Kind.BYTES, pool_size=4)
SHORT = StoreOptions("things", Kind.BYTES, timeout=0.4, pool_size=1)


@pytest.fixture
def silent() -> Iterator[str]:
    """Host and port of a server that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def database(server: RedisServer, number: int) -> str:
    """Return the URL of an emptied database of this server."""
    url = f"redis://{server.host}:{server.port}/{number}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


class TestRedis(StoreContract):
    @pytest.fixture
    def place(self, redis_server: RedisServer, silent: str) -> Place:
        return Place(
            open_store,
            url=database(redis_server, 9),
            down_url=f"redis://127.0.0.1:{free_port()}",
            silent_url=f"redis://{silent}/1",
            timeout=1.0,
        )


class TestValkey(StoreContract):
    @pytest.fixture
    def place(self, valkey_server: ValkeyServer, silent: str) -> Place:
        return Place(
            open_store,
            url=f"{database(valkey_server, 9)}?prefix={quote('bart:*[é]?/')}",
            down_url=f"redis://127.0.0.1:{free_port()}",
            silent_url=f"redis://{silent}",
            timeout=1.0,
        )


class TestRedisCluster(StoreContract):
    @pytest.fixture
    def place(self, redis_cluster: RedisCluster, silent: str) -> Place:
        for node in redis_cluster.nodes:
            database(node, 0)
        hosts = ",".join(f"{host}:{port}" for host, port in redis_cluster.addresses[:2])
        return Place(
            open_store,
            url=f"redis+cluster://{hosts}",
            down_url=f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{free_port()}",
            silent_url=f"redis+cluster://{silent}",
            timeout=1.0,
        )


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return database(redis_server, 9)


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url) as client:
        yield client


async def test_what_a_plain_client_wrote_is_served_and_the_other_way_round(
    url: str, client: redis.Redis
) -> None:
    client.set("homer/jay", b"d\0oh\xff")
    async with open_store(url, OPTIONS) as store:
        assert await read_one(store, "homer/jay") == b"d\0oh\xff"
        await write_one(store, "märge", b"hmm")
    assert client.get("märge") == b"hmm"
    async with open_store(f"{url}?prefix=m", OPTIONS) as store:
        assert await read_one(store, "ärge") == b"hmm"
        assert await all_names(store) == ["ärge"]


@pytest.mark.parametrize("others", [[], ["string", "nobody"]])
async def test_lists_and_hashes_are_refused_and_survive(
    url: str, client: redis.Redis, others: list[str]
) -> None:
    client.rpush("list", "a")
    client.hset("hash", "a", "b")
    client.set("string", b"old")
    for bad in ("list", "hash"):
        names = [Name(bad), *map(Name, others)]
        async with open_store(url, OPTIONS) as store:
            found = await store.read(names)
            assert isinstance(found[Name(bad)], WrongType)
            written = refusals(await store.write({name: Item(b"new") for name in names}))
            assert isinstance(written[Name(bad)], WrongType)
            assert "list or a hash" in str(written[Name(bad)])
            removed = await store.delete(names)
            assert isinstance(removed[Name(bad)], WrongType)
            assert set(found) - {"string"} == set(written) == set(removed) == {bad}
            assert bad not in await all_names(store)
    assert client.lrange("list", 0, -1) == [b"a"]
    assert client.hgetall("hash") == {b"a": b"b"}
    assert client.exists("string") == (not others)


async def test_a_rewritten_item_lives_for_ever(url: str, client: redis.Redis) -> None:
    client.set("homer", b"old", ex=100)
    async with open_store(url, OPTIONS) as store:
        await write_one(store, "homer", b"new")
    assert client.ttl("homer") == -1


async def test_keys_that_are_no_legal_names_are_not_listed(url: str, client: redis.Redis) -> None:
    for key in (b"\xff\xfe", b"a\nb", b"", b"x" * 513, b"\xed\xa0\x80", b"fine"):
        client.set(key, b"x")
    async with open_store(url, OPTIONS) as store:
        assert await all_names(store) == ["fine"]


def test_a_page_keeps_the_smallest_names_in_bounded_memory() -> None:
    page = Page(b"p:", "", Name("00005"), 10)
    for start in range(20_000, 0, -100):
        page.add(b"p:%05d" % number for number in range(start - 100, start))
        page.add([b"p:%05d" % (start - 1)])
        assert len(page._kept) <= 1_200
    assert page.names() == [f"{number:05}" for number in range(6, 16)]


async def test_listing_that_takes_too_long_says_that_it_scans(
    own_redis_server: RedisServer,
) -> None:
    with redis.Redis.from_url(own_redis_server.url) as client:
        for start in range(0, 600_000, 50_000):
            client.mset({f"{number:06}": b"x" for number in range(start, start + 50_000)})
    hasty = StoreOptions("things", Kind.BYTES, timeout=0.1, pool_size=1)
    async with open_store(own_redis_server.url, hasty) as store:
        await store.ping()
        with pytest.raises(ListingTooExpensive, match="scans the whole database"):
            await store.names("", None, 10)


async def test_a_server_that_is_silent_is_not_taken_for_a_large_one(
    own_redis_server: RedisServer,
) -> None:
    async with open_store(own_redis_server.url, SHORT) as store:
        await store.ping()
        own_redis_server.pause()
        with pytest.raises(Unavailable, match="did not answer") as caught:
            await store.names("", None, 10)
        assert caught.value.slow
        own_redis_server.resume()


CALLS: dict[str, Callable[[Adapter], Awaitable[object]]] = {
    "read": lambda store: store.read([Name("homer")]),
    "write": lambda store: store.write({Name("homer"): Item(b"doh")}),
    "swap": lambda store: store.swap(Name("homer"), None, Item(b"doh")),
    "delete": lambda store: store.delete([Name("homer"), Name("bart")]),
    "names": lambda store: store.names("", None, 10),
    "ping": lambda store: store.ping(),
    "inspect": lambda store: store.inspect(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_wrong_password_is_told_without_showing_it(
    own_redis_server: RedisServer, call: Callable[[Adapter], Awaitable[object]]
) -> None:
    with redis.Redis.from_url(own_redis_server.url) as client:
        client.config_set("requirepass", "s3cr3t-right")
    where = f"{own_redis_server.host}:{own_redis_server.port}"
    for login in (":s3cr3t-wrong@", "bart:s3cr3t-wrong@", ""):
        async with open_store(f"redis://{login}{where}", OPTIONS) as store:
            with pytest.raises(Misconfigured, match="denies access") as caught:
                await call(store)
            assert "s3cr3t" not in str(caught.value)
    async with open_store(f"redis://:s3cr3t-right@{where}", OPTIONS) as store:
        await store.ping()


async def test_a_forbidden_name_fails_alone(own_redis_server: RedisServer) -> None:
    allowed = ["+eval", "+eval_ro", "+multi", "+exec", "+mget", "+pexpiretime"]
    rules = ["on", ">pw", "~open*", *allowed, "+set", "+del", "+type"]
    with redis.Redis.from_url(own_redis_server.url) as client:
        client.execute_command("ACL", "SETUSER", "bart", *rules)
    where = f"bart:pw@{own_redis_server.host}:{own_redis_server.port}"
    async with open_store(f"redis://{where}", OPTIONS) as store:
        names = [Name("open-a"), Name("shut"), Name("open-b")]
        assert list(refusals(await store.write({name: Item(b"x") for name in names}))) == ["shut"]
        found = await store.read(names)
        assert isinstance(found[Name("shut")], Misconfigured)
        assert isinstance(found[Name("open-b")], Item)
        assert list(await store.delete(names)) == ["shut"]
        with pytest.raises(Misconfigured, match="permission"):
            await store.names("", None, 10)


@pytest.mark.parametrize("size", [1, 3])
async def test_a_full_memory_and_a_replica_write_nothing_and_say_so(
    own_redis_server: RedisServer, size: int
) -> None:
    items = {Name(f"n{number}"): Item(b"new") for number in range(size)}
    with redis.Redis.from_url(own_redis_server.url) as client:
        async with open_store(own_redis_server.url, OPTIONS) as store:
            client.config_set("maxmemory", 1)
            with pytest.raises(Unavailable, match="maxmemory"):
                await store.write(items)
            client.config_set("maxmemory", 0)
            client.replicaof("127.0.0.1", str(free_port()))
            with pytest.raises(Unavailable, match="replica"):
                await store.write(items)
            assert await store.read(list(items)) == {}
            client.replicaof("NO", "ONE")
            assert refusals(await store.write(items)) == {}


async def test_inspecting_warns_of_what_may_be_lost(own_redis_server: RedisServer) -> None:
    with redis.Redis.from_url(own_redis_server.url) as client:
        async with open_store(own_redis_server.url, OPTIONS) as store:
            [warning] = (await store.inspect()).warnings
            assert "appendfsync is no" in warning
            client.config_set("appendfsync", "always")
            assert (await store.inspect()).warnings == ()
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.config_set("maxmemory", "100mb")
            client.config_set("appendonly", "no")
            client.replicaof("127.0.0.1", str(free_port()))
            text = " ".join((await store.inspect()).warnings)
            for expected in ("Nothing is kept on disk", "allkeys-lru", "replica"):
                assert expected in text


async def test_inspecting_works_where_questions_are_forbidden(
    own_redis_server: RedisServer,
) -> None:
    where = f"bart:pw@{own_redis_server.host}:{own_redis_server.port}"
    with redis.Redis.from_url(own_redis_server.url) as client:
        client.execute_command("ACL", "SETUSER", "bart", "on", ">pw", "~*", "+@all", "-config")
        async with open_store(f"redis://{where}", OPTIONS) as store:
            inspection = await store.inspect()
            assert inspection.product in {"Redis", "Valkey"}
            assert "not shown" in inspection.warnings[0]
            client.execute_command("ACL", "SETUSER", "bart", "-info")
            assert "INFO is forbidden" in (await store.inspect()).warnings[0]


async def test_it_tells_valkey_from_redis(
    own_genuine_redis: GenuineRedis, valkey_server: ValkeyServer, redis_cluster: RedisCluster
) -> None:
    host, port = redis_cluster.addresses[0]
    urls = [own_genuine_redis.url, valkey_server.url, f"redis+cluster://{host}:{port}"]
    found = []
    for url in urls:
        async with open_store(url, OPTIONS) as store:
            found.append(await store.inspect())
    assert [each.product for each in found[:2]] == ["Redis", "Valkey"]
    assert found[2].version.endswith("cluster of 3")


async def test_a_socket_file_serves(tmp_path: Path, redis_server: RedisServer) -> None:
    path = tmp_path / "redis.sock"
    with RedisServer.own(tmp_path / "own", "--unixsocket", str(path)) as server:
        async with open_store(f"unix://{path}?db=3", OPTIONS) as store:
            await write_one(store, "homer", b"doh")
            assert await read_one(store, "homer") == b"doh"
        with redis.Redis(port=server.port, db=3) as client:
            assert client.get("homer") == b"doh"
    assert redis_server.is_ready()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return the file of a certificate for 127.0.0.1; its key is beside it."""
    path = tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=springfield -addext subjectAltName=IP:127.0.0.1 -keyout"
    )
    subprocess.run(
        [*command.split(), path.with_suffix(".key"), "-out", path], check=True, capture_output=True
    )
    return path


async def test_an_encrypted_connection_is_trusted_only_with_its_certificate(
    own_genuine_redis: GenuineRedis, certificate: Path
) -> None:
    port = free_port()
    with redis.Redis.from_url(own_genuine_redis.url) as client:
        client.execute_command(
            *("CONFIG", "SET", "tls-cert-file", str(certificate), "tls-port", port),
            *("tls-key-file", str(certificate.with_suffix(".key")), "tls-auth-clients", "no"),
        )
    url = f"rediss://127.0.0.1:{port}"
    async with open_store(url, OPTIONS) as store:
        with pytest.raises(Misconfigured, match="not trusted"):
            await store.ping()
    async with open_store(f"{url}?ssl_ca_certs={certificate}", OPTIONS) as store:
        await asyncio.gather(*(write_one(store, f"n{number}", b"x") for number in range(50)))
        assert len(await all_names(store)) == 50

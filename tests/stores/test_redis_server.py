"""Exchanges with one Redis server that is restarted, fails over, is silent, or is not waited for."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import redis
from redis.asyncio.connection import AbstractConnection

from springfield.errors import OutcomeUnknown, StoreError, Unavailable
from springfield.model import Item, Kind, Name
from springfield.stores.redis.adapter import open_store
from springfield.stores.redis.server import Server
from springfield.stores.store import Adapter, StoreOptions
from tests.servers.process import free_port
from tests.servers.redis import RedisServer
from tests.servers.redis_cluster import RedisCluster
from tests.servers.redis_sentinel import RedisSentinel
from tests.stores.eventually import eventually
from tests.stores.place import read_one, refusals, write_one

OPTIONS = StoreOptions("things", Kind.BYTES, pool_size=4)
SHORT = StoreOptions("things", Kind.BYTES, timeout=0.4, pool_size=2)


async def use_all_connections(store: Adapter) -> None:
    await asyncio.gather(*(write_one(store, f"n{number}", b"old") for number in range(40)))


async def test_the_first_calls_after_a_restart_succeed(own_redis_server: RedisServer) -> None:
    async with open_store(own_redis_server.url, OPTIONS) as store:
        for _ in range(3):
            await use_all_connections(store)
            await asyncio.to_thread(own_redis_server.kill)
            await asyncio.to_thread(own_redis_server.start)
            await write_one(store, "homer", b"doh")
            await use_all_connections(store)
            assert await read_one(store, "homer") == b"doh"


async def test_while_the_server_is_away_nothing_is_written_and_that_is_said(
    own_redis_server: RedisServer,
) -> None:
    async with open_store(own_redis_server.url, OPTIONS) as store:
        await use_all_connections(store)
        await asyncio.to_thread(own_redis_server.kill)
        for _ in range(10):
            with pytest.raises(Unavailable, match="cannot be reached; nothing was written"):
                await store.write({Name("homer"): Item(b"doh")})


class ResettingRelay:
    """Passes bytes on to a server, until it resets all connections as a firewall does."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: list[asyncio.StreamWriter] = []
        self.accepted = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]
            self.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, up_writer]
        await asyncio.gather(self._pass(reader, up_writer), self._pass(up_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def reset(self) -> None:
        for writer in self._writers:
            if not writer.is_closing():
                linger = struct.pack("ii", 1, 0)  # closing sends RST instead of FIN
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                writer.transport.abort()
        self._writers.clear()


def was_reset(connection: AbstractConnection) -> bool:
    reader = connection._reader
    return reader is not None and reader.exception() is not None


async def test_a_write_succeeds_after_idle_connections_were_reset(
    redis_server: RedisServer,
) -> None:
    relay = ResettingRelay(redis_server.port)
    async with (
        relay.listening() as port,
        open_store(f"redis://127.0.0.1:{port}/8", OPTIONS) as store,
    ):
        await use_all_connections(store)
        before = relay.accepted
        relay.reset()
        [server] = servers_of(store)
        await eventually(lambda: all(map(was_reset, server._pool._available_connections)))
        await write_one(store, "homer", b"doh")
        assert relay.accepted > before


async def test_an_unanswered_write_is_unknown_and_one_that_was_not_sent_is_not(
    own_redis_server: RedisServer,
) -> None:
    async with open_store(own_redis_server.url, SHORT) as store:
        await use_all_connections(store)
        own_redis_server.pause()
        results = await asyncio.gather(
            *(store.write({Name(f"n{number}"): Item(b"new")}) for number in range(6)),
            return_exceptions=True,
        )
        assert all(isinstance(result, StoreError) and result.slow for result in results)
        kinds = [type(result) for result in results]
        assert kinds.count(OutcomeUnknown) == SHORT.pool_size
        assert kinds.count(Unavailable) == 4  # they waited for a connection
        with pytest.raises(Unavailable, match=r"within 0\.4 s"):
            await store.read([Name("n1")])
        own_redis_server.resume()
        await use_all_connections(store)
        assert await read_one(store, "n1") == b"old"


async def test_large_writes_to_a_silent_server_leave_nothing_behind(
    own_redis_server: RedisServer,
) -> None:
    with redis.Redis.from_url(own_redis_server.url) as client:
        async with open_store(own_redis_server.url, SHORT) as store:
            await store.ping()
            own_redis_server.pause()
            for _ in range(3):
                with pytest.raises((OutcomeUnknown, Unavailable)):
                    await store.write({Name("big"): Item(bytes(8 * 1024 * 1024))})
            own_redis_server.resume()
            await store.ping()
            assert client.info("clients")["connected_clients"] <= 1 + SHORT.pool_size
            assert client.exists("big") == 0


async def test_a_thousand_waiting_calls_share_few_connections(redis_server: RedisServer) -> None:
    url = f"redis://{redis_server.host}:{redis_server.port}/8"
    with redis.Redis.from_url(url) as client:
        before = client.info("clients")["connected_clients"]
        async with open_store(url, OPTIONS) as store:
            await asyncio.gather(*(write_one(store, f"n{n % 9}", b"x") for n in range(1_000)))
            assert client.info("clients")["connected_clients"] <= before + OPTIONS.pool_size


@pytest.fixture(params=["server", "cluster"])
def storm_url(request: pytest.FixtureRequest) -> str:
    if request.param == "server":
        server = request.getfixturevalue("redis_server")
        assert isinstance(server, RedisServer)
        return f"redis://{server.host}:{server.port}/8?prefix=storm:"
    cluster = request.getfixturevalue("redis_cluster")
    assert isinstance(cluster, RedisCluster)
    host, port = cluster.addresses[0]
    return f"redis+cluster://{host}:{port}?prefix=storm:"


async def test_thousands_of_cancelled_calls_mix_up_no_reply_and_lose_no_connection(
    storm_url: str,
) -> None:
    chance = random.Random(7)
    names = [Name(f"n{number}") for number in range(40)]
    async with open_store(storm_url, OPTIONS) as store:
        await store.write({name: Item(name.encode() * 99) for name in names})

        async def call(names: list[Name]) -> None:
            if chance.random() < 0.3:
                assert (
                    refusals(await store.write({name: Item(name.encode() * 99) for name in names}))
                    == {}
                )
            else:
                found = await store.read(names)
                assert found == {name: Item(name.encode() * 99) for name in names}

        for _ in range(150):
            tasks = [
                asyncio.create_task(call(chance.sample(names, chance.choice([1, 1, 5]))))
                for _ in range(30)
            ]
            for task in chance.sample(tasks, 25):
                if chance.random() < 0.5:
                    await asyncio.sleep(chance.random() * 0.0008)
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [each for each in results if isinstance(each, Exception)] == []
        async with asyncio.timeout(5):
            await asyncio.gather(*(call([name]) for name in names))
        for server in servers_of(store):
            assert not server._pool._in_use_connections
            assert server.pool()[2:] == (0, 0)


def servers_of(store: object) -> Iterator[Server]:
    servers = store._servers  # type: ignore[attr-defined]
    yield from [servers] if isinstance(servers, Server) else servers._servers.values()


async def is_written(store: Adapter, name: str) -> bool:
    try:
        return refusals(await store.write({Name(name): Item(b"doh")})) == {}
    except Unavailable:
        return False


async def test_a_sentinel_names_the_new_primary_after_a_failover(
    own_redis_sentinel: RedisSentinel,
) -> None:
    watch = own_redis_sentinel
    dead = free_port()
    url = f"redis+sentinel://127.0.0.1:{dead},127.0.0.1:{watch.sentinel.port}/{watch.service}"
    async with open_store(url, OPTIONS) as store:
        await use_all_connections(store)
        with redis.Redis.from_url(watch.primary.url) as client:
            assert client.wait(1, 2_000) == 1
        await asyncio.to_thread(watch.primary.kill)
        await eventually(lambda: is_written(store, "homer"))
        await use_all_connections(store)
        assert await read_one(store, "n1") == b"old"
        with redis.Redis.from_url(watch.replica.url) as client:
            assert client.get("homer") == b"doh"


async def test_a_demoted_primary_writes_nothing_and_its_successor_is_found(
    own_redis_sentinel: RedisSentinel,
) -> None:
    watch = own_redis_sentinel
    url = f"redis+sentinel://127.0.0.1:{watch.sentinel.port}/{watch.service}"
    options = StoreOptions("things", Kind.BYTES, pool_size=1)
    async with open_store(url, options) as store:
        await write_one(store, "homer", b"old")
        with redis.Redis.from_url(watch.primary.url) as client:
            client.replicaof("127.0.0.1", str(watch.replica.port))
            with pytest.raises(Unavailable, match="nothing was written"):
                await store.write({Name("homer"): Item(b"doh")})
            client.replicaof("NO", "ONE")
        await write_one(store, "homer", b"new")


async def test_a_service_that_no_sentinel_knows_is_unavailable(
    redis_sentinel: RedisSentinel,
) -> None:
    url = f"redis+sentinel://127.0.0.1:{redis_sentinel.sentinel.port}/burns"
    async with open_store(url, OPTIONS) as store:
        with pytest.raises(Unavailable, match="burns"):
            await store.ping()

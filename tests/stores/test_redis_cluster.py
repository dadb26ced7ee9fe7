"""A Redis Cluster whose slots move and whose primaries die."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from springfield.errors import Misconfigured, OutcomeUnknown, Unavailable, WrongType
from springfield.model import Item, Kind, Name
from springfield.stores.redis.adapter import open_store
from springfield.stores.store import Adapter, StoreOptions
from tests.servers.process import free_port
from tests.servers.redis import RedisServer
from tests.servers.redis_cluster import RedisCluster
from tests.stores.eventually import eventually
from tests.stores.place import all_names, read_one, refusals, write_one

OPTIONS = StoreOptions("things", Kind.BYTES, pool_size=4)
NAMES = [Name(f"n{number}") for number in range(60)]
ITEMS = {name: Item(name.encode()) for name in NAMES}


def url_of(cluster: RedisCluster) -> str:
    hosts = ",".join(f"{host}:{port}" for host, port in cluster.addresses)
    return f"redis+cluster://{hosts}"


def node_of(name: str) -> int:
    """Return the number of the node that has this name's slot at first."""
    return key_slot(name.encode()) * 3 // 16_384


@pytest.fixture
def clients(own_redis_cluster: RedisCluster) -> Iterator[list[Any]]:
    clients = [redis.Redis.from_url(node.url) for node in own_redis_cluster.nodes]
    yield clients
    for client in clients:
        client.close()


async def test_lists_are_refused_and_survive_beside_other_names(
    own_redis_cluster: RedisCluster, clients: list[Any]
) -> None:
    bad = NAMES[7]
    clients[node_of(bad)].rpush(bad, "a")
    async with open_store(url_of(own_redis_cluster), OPTIONS) as store:
        refused = refusals(await store.write(ITEMS))
        assert list(refused) == [bad]
        assert isinstance(refused[bad], WrongType)
        found = await store.read(NAMES)
        assert isinstance(found[bad], WrongType)
        assert sum(isinstance(each, Item) for each in found.values()) == 59
        assert list(await store.delete(NAMES)) == [bad]
        assert await all_names(store) == []
    assert clients[node_of(bad)].lrange(bad, 0, -1) == [b"a"]


async def test_one_seed_is_enough_and_dead_ones_do_not_matter(
    own_redis_cluster: RedisCluster,
) -> None:
    host, port = own_redis_cluster.addresses[2]
    url = f"redis+cluster://127.0.0.1:{free_port()},{host}:{port},127.0.0.1:{free_port()}"
    async with open_store(url, OPTIONS) as store:
        assert refusals(await store.write(ITEMS)) == {}
        await store.ping()


async def test_names_are_followed_while_their_slot_moves_and_when_it_has_moved(
    own_redis_cluster: RedisCluster, clients: list[Any]
) -> None:
    here, there = (f"{{{tag}}}" for tag in ("a", "b"))
    source, target = clients[node_of("a")], clients[(node_of("a") + 1) % 3]
    slot, address = key_slot(b"a"), target.connection_pool.connection_kwargs
    ids = [client.execute_command("CLUSTER MYID").decode() for client in (source, target)]
    names = [Name(f"{here}{number}") for number in range(20)] + [Name(there)]
    async with open_store(url_of(own_redis_cluster), OPTIONS) as store:
        assert refusals(await store.write({name: Item(b"old") for name in names[:10]})) == {}
        target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
        source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
        for name in names[:5]:
            source.execute_command("MIGRATE", address["host"], address["port"], name, 0, 1000)
        assert len(await store.read(names[:10])) == 10
        for name in (names[0], names[5], names[10]):  # moved, not yet, and nowhere
            expected = None if name == names[10] else Item(b"old")
            assert await store.swap(name, expected, Item(b"new", ttl=100))
            assert not await store.swap(name, expected, Item(b"late"))
        assert refusals(await store.write({name: Item(b"new") for name in names})) == {}
        for name in names[5:10]:
            source.execute_command("MIGRATE", address["host"], address["port"], name, 0, 1000)
        for client in (target, source):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[1])
        assert await store.swap(names[0], Item(b"new"), Item(b"new"))
        for _ in range(2):  # redirected, then by the new map
            found = await store.read(names)
            assert found == {name: Item(b"new") for name in names}
        assert await store.delete(names) == {}
        assert await store.read(names) == {}


async def test_when_a_primary_dies_the_names_on_others_are_served(
    own_redis_cluster: RedisCluster, clients: list[Any]
) -> None:
    for client in clients:
        client.config_set("cluster-require-full-coverage", "no")
    lost = {name for name in NAMES if node_of(name) == 0}
    async with open_store(url_of(own_redis_cluster), OPTIONS) as store:
        assert refusals(await store.write(ITEMS)) == {}
        await asyncio.to_thread(own_redis_cluster.nodes[0].kill)
        for _ in range(5):
            found = await store.read(NAMES)
            assert {name for name in found if isinstance(found[name], Unavailable)} == lost
            refused = refusals(await store.write(ITEMS))
            assert set(refused) == lost
            assert all(isinstance(error, Unavailable) for error in refused.values())
        with pytest.raises(Unavailable):
            await store.read([min(lost)])
        with pytest.raises(Unavailable):
            await store.names("", None, 10)
        with pytest.raises(Unavailable):
            await store.ping()
        await asyncio.to_thread(own_redis_cluster.nodes[0].start)
        await asyncio.to_thread(own_redis_cluster.wait_until_whole)
        assert refusals(await store.write(ITEMS)) == {}
        assert await store.read(NAMES) == ITEMS


async def test_the_first_calls_after_all_nodes_restarted_succeed(
    own_redis_cluster: RedisCluster,
) -> None:
    async with open_store(url_of(own_redis_cluster), OPTIONS) as store:
        await asyncio.gather(*(store.write(ITEMS) for _ in range(20)))
        for node in own_redis_cluster.nodes:
            await asyncio.to_thread(node.kill)
        for node in own_redis_cluster.nodes:
            await asyncio.to_thread(node.start)
        await asyncio.to_thread(own_redis_cluster.wait_until_whole)
        assert refusals(await store.write(ITEMS)) == {}
        assert await store.read(NAMES) == ITEMS


async def test_a_silent_primary_leaves_only_its_own_names_unknown(
    own_redis_cluster: RedisCluster,
) -> None:
    options = StoreOptions("things", Kind.BYTES, timeout=0.4)
    lost = {name for name in NAMES if node_of(name) == 1}
    async with open_store(url_of(own_redis_cluster), options) as store:
        await asyncio.gather(*(store.write(ITEMS) for _ in range(4)))  # connects often enough
        own_redis_cluster.nodes[1].pause()
        swap = asyncio.create_task(store.swap(min(lost), ITEMS[min(lost)], Item(b"new")))
        refused = refusals(await store.write(ITEMS))
        with pytest.raises(OutcomeUnknown):
            await swap
        own_redis_cluster.nodes[1].resume()
        assert set(refused) == lost
        assert all(isinstance(error, OutcomeUnknown) for error in refused.values())


async def test_a_replica_that_took_over_is_found(
    own_redis_cluster: RedisCluster, clients: list[Any], tmp_path: Path
) -> None:
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    first = own_redis_cluster.nodes[0]
    async with open_store(url_of(own_redis_cluster), OPTIONS) as store:
        assert refusals(await store.write(ITEMS)) == {}
        with RedisServer.own(tmp_path / "r", *options, "--cluster-node-timeout", "2000") as replica:
            await join(replica, first, clients[0])
            await asyncio.to_thread(first.kill)
            await eventually(lambda: serves_all(store))
            assert refusals(await store.write(ITEMS)) == {}
            assert len(await all_names(store)) == len(NAMES)


async def join(replica: RedisServer, first: RedisServer, primary: Any) -> None:
    """Make the replica follow the first node; return once it has its keys and is known for it."""
    bus = primary.config_get("cluster-port")["cluster-port"]
    name = primary.execute_command("CLUSTER MYID").decode()
    client: Any = redis.Redis.from_url(replica.url)
    with client:
        client.execute_command("CLUSTER MEET", first.host, first.port, bus)
        await eventually(lambda: name in str(client.execute_command("CLUSTER NODES")))
        client.execute_command("CLUSTER REPLICATE", name)
        await eventually(lambda: client.info("replication").get("master_link_status") == "up")
        await eventually(lambda: bool(primary.execute_command("CLUSTER REPLICAS", name)))


async def serves_all(store: Adapter) -> bool:
    try:
        return all(isinstance(found, Item) for found in (await store.read(NAMES)).values())
    except Unavailable:
        return False


async def test_a_plain_url_to_a_cluster_and_the_other_way_round_are_explained(
    own_redis_cluster: RedisCluster, redis_server: RedisServer
) -> None:
    async with open_store(own_redis_cluster.nodes[0].url, OPTIONS) as store:
        with pytest.raises(Misconfigured, match=r"redis\+cluster://"):
            await store.write(ITEMS)
        elsewhere = next(name for name in NAMES if node_of(name) == 2)
        with pytest.raises(Misconfigured, match=r"redis\+cluster://"):
            await write_one(store, elsewhere, b"x")
    url = f"redis+cluster://{redis_server.host}:{redis_server.port}"
    async with open_store(url, OPTIONS) as store:
        with pytest.raises(Misconfigured, match="cluster support disabled"):
            await read_one(store, "homer")

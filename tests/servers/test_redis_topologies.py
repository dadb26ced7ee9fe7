"""In charge of showing that the Redis Cluster and the sentinel set do what they are there for."""

import time

import redis
from redis.cluster import RedisCluster as ClusterClient

from tests.servers.redis_cluster import RedisCluster
from tests.servers.redis_sentinel import RedisSentinel

FAILOVER_DEADLINE = 20.0


def test_a_cluster_serves_keys_of_all_its_nodes(redis_cluster: RedisCluster) -> None:
    host, port = redis_cluster.addresses[0]
    with ClusterClient(host=host, port=port) as client:
        for number in range(60):
            client.set(f"servers:{number}", number)
        assert client.get("servers:59") == b"59"
    sizes = []
    for node in redis_cluster.nodes:
        with redis.Redis.from_url(node.url) as client_of_node:
            sizes.append(client_of_node.dbsize())
    assert sum(sizes) == 60
    assert all(sizes)


def test_a_cluster_is_whole_again_when_a_killed_node_is_back(
    own_redis_cluster: RedisCluster,
) -> None:
    own_redis_cluster.nodes[1].kill()
    assert not own_redis_cluster.is_whole()
    own_redis_cluster.nodes[1].start()
    own_redis_cluster.wait_until_whole()
    assert own_redis_cluster.is_whole()


def test_a_sentinel_makes_the_replica_the_primary_when_the_primary_is_killed(
    own_redis_sentinel: RedisSentinel,
) -> None:
    replica = (own_redis_sentinel.replica.host, own_redis_sentinel.replica.port)
    assert own_redis_sentinel.current_primary() != replica
    own_redis_sentinel.primary.kill()
    end = time.monotonic() + FAILOVER_DEADLINE
    while own_redis_sentinel.current_primary() != replica:
        assert time.monotonic() < end, own_redis_sentinel.sentinel.process.log_tail()
        time.sleep(0.05)
    with redis.Redis.from_url(own_redis_sentinel.replica.url) as client:
        assert client.set("servers:after", "failover")

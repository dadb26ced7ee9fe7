"""In charge of a Redis Cluster of three masters, each with a third of the 16,384 slots."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.servers.process import free_port
from tests.servers.redis import RedisServer

_SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))
_DEADLINE = 30.0


class RedisCluster:
    """Three nodes that a test may kill and start one by one; they find each other again."""

    def __init__(self, nodes: list[RedisServer]) -> None:
        self.nodes = nodes
        self._running = ExitStack()

    @classmethod
    def own(cls, directory: Path) -> Self:
        """Prepare the nodes; not started yet. Raises ServerMissing without a redis-server."""
        return cls([_node(directory / f"node-{number}") for number in range(len(_SLOTS))])

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of every node."""
        return [(node.host, node.port) for node in self.nodes]

    def is_whole(self) -> bool:
        """Whether every node knows all others and sees all slots served."""
        try:
            return all(_sees_the_whole(node) for node in self.nodes)
        except redis.RedisError:
            return False

    def wait_until_whole(self) -> None:
        """Return once the cluster is whole. Raises ServerFailed after 30 seconds."""
        self.nodes[0].process.wait_until_ready(self.is_whole, _DEADLINE)

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for node in self.nodes:
                starting.callback(node.discard)
                node.launch()
            for node in self.nodes:
                node.wait_until_ready()
            self._introduce()
            self.wait_until_whole()
            self._running = starting.pop_all()
        return self

    def _introduce(self) -> None:
        """Give each node its slots, and let each meet all before it: gossip alone takes longer."""
        met: list[tuple[str, int, int]] = []
        for epoch, (node, slots) in enumerate(zip(self.nodes, _SLOTS, strict=True), start=1):
            with redis.Redis.from_url(node.url) as client:
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
                for host, port, bus in met:
                    client.execute_command("CLUSTER", "MEET", host, port, bus)
                bus = int(client.config_get("cluster-port")["cluster-port"])
                met.append((node.host, node.port, bus))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._running.close()


def _node(directory: Path) -> RedisServer:
    # The bus port of its own keeps the default (port + 10,000) out of the ephemeral ports.
    cluster = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    return RedisServer.own(directory, *cluster, "--cluster-node-timeout", "2000")


def _sees_the_whole(node: RedisServer) -> bool:
    with redis.Redis.from_url(node.url, socket_timeout=2) as client:
        info = client.execute_command("CLUSTER INFO")
    return bool(info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(len(_SLOTS)))

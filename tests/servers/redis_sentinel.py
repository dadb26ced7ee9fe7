"""In charge of a Redis under a sentinel: a primary, its replica and one sentinel."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import redis

from tests.servers.process import ServerProcess, free_port
from tests.servers.redis import RedisServer

_DEADLINE = 30.0


class RedisSentinel:
    """A set in which killing the primary makes the replica the new one, in about two seconds."""

    service: ClassVar[str] = "springfield"  # the name under which the sentinel knows the primary

    def __init__(self, primary: RedisServer, replica: RedisServer, sentinel: RedisServer) -> None:
        self.primary = primary
        self.replica = replica
        self.sentinel = sentinel
        self._running = ExitStack()

    @classmethod
    def own(cls, directory: Path) -> Self:
        """Prepare the set; not started yet. Raises ServerMissing without a redis-server."""
        primary = RedisServer.own(directory / "primary", "--repl-diskless-sync-delay", "0")
        origin = ("--replicaof", primary.host, str(primary.port))
        replica = RedisServer.own(directory / "replica", *origin)
        return cls(primary, replica, _sentinel(directory / "sentinel", primary, cls.service))

    def current_primary(self) -> tuple[str, int]:
        """Return host and port of the primary, as the sentinel tells them."""
        with redis.Redis.from_url(self.sentinel.url, socket_timeout=2) as client:
            host, port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
        return host.decode(), int(port)

    def is_replicated(self) -> bool:
        """Whether the replica follows its primary."""
        with redis.Redis.from_url(self.replica.url, socket_timeout=2) as client:
            return bool(client.info("replication").get("master_link_status") == "up")

    def is_watched(self) -> bool:
        """Whether the sentinel knows the primary and its replica."""
        with redis.Redis.from_url(self.sentinel.url, socket_timeout=2) as client:
            watched = client.info("sentinel")["master0"]
        return bool(watched["status"] == "ok" and watched["slaves"] == 1)

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for server in (self.primary, self.replica):
                starting.enter_context(server)
            self.replica.process.wait_until_ready(self.is_replicated, _DEADLINE)
            # Last, since a sentinel asks the primary for its replicas only every ten seconds.
            starting.enter_context(self.sentinel)
            self.sentinel.process.wait_until_ready(self.is_watched, _DEADLINE)
            self._running = starting.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._running.close()


def _sentinel(directory: Path, primary: RedisServer, service: str) -> RedisServer:
    directory.mkdir(parents=True)
    port = free_port()
    file = directory / "sentinel.conf"  # the sentinel keeps what it learns in it
    file.write_text(
        f"port {port}\n"
        "bind 127.0.0.1\n"
        f"sentinel monitor {service} {primary.host} {primary.port} 1\n"
        f"sentinel down-after-milliseconds {service} 500\n"
        f"sentinel failover-timeout {service} 5000\n"
    )
    process = ServerProcess([RedisServer.find(), file, "--sentinel"], directory)
    return RedisServer(f"redis://127.0.0.1:{port}", process)

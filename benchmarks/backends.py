"""In charge of the stores behind the services: started, filled, and asked what they were asked.

They are the servers of the tests, so a machine that runs `make test` can run the benchmark; name
your own with the same variables (``tests/servers``). A store that is not here is left out, loudly.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pymysql
import redis
from pymongo import MongoClient

from benchmarks.contenders import Addresses
from benchmarks.works import KIB, MIB, NAMES, StoreName, document_of, name_of, value_of
from tests.servers.missing import ServerMissing
from tests.servers.mongodb import MongodbServer
from tests.servers.mysql import MysqlServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import S3Server
from tests.servers.server import Server

_KINDS: dict[StoreName, type[Server]] = {
    "redis": RedisServer,
    "mongodb": MongodbServer,
    "mysql": MysqlServer,
    "s3": S3Server,
}
_BATCH = 500
OBJECTS = (64 * KIB, 16 * MIB)
"""Sizes of the objects in bytes."""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS lisa (name VARBINARY(512) NOT NULL PRIMARY KEY, "
    "content LONGBLOB NOT NULL, expires_at BIGINT NULL COMMENT 'milliseconds since 1970', "
    "INDEX (expires_at)) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4"
)
_EMBEDDED_TABLE = (
    "CREATE TABLE IF NOT EXISTS donuts "
    "(name TEXT NOT NULL PRIMARY KEY, content BLOB NOT NULL, expires_at INTEGER)"
)


class Backends:
    """The stores that run here."""

    def __init__(self, servers: dict[StoreName, Server]) -> None:
        self.servers = servers
        self._filled: set[tuple[StoreName, int]] = set()

    def has(self, store: StoreName) -> bool:
        """Whether the store is here."""
        return store in {"none", "embedded"} or store in self.servers

    def addresses(self, store: StoreName) -> Addresses:
        """Return where the store is; a service is told of no other, and holds memory for none."""
        url = {name: server.url for name, server in self.servers.items() if name == store}
        return Addresses(
            url.get("redis", ""),
            url.get("mongodb", ""),
            url.get("mysql", ""),
            self._s3() if store == "s3" else {},
        )

    def fill(self, store: StoreName, size: int) -> None:
        """Store 10,000 items of the size, or the object of the size; once."""
        if store not in self.servers or (store, size) in self._filled:
            return
        self._filled.add((store, size))
        _FILL[store](self.servers[store], size)

    def round_trips(self, store: StoreName) -> int | None:
        """Return how often the store was asked since it started; None where it does not tell."""
        count = _COUNT.get(store)
        return count(self.servers[store]) if count else None

    def versions(self) -> dict[str, str]:
        """Return what each store says that it is."""
        return {name: _VERSION[name](server) for name, server in self.servers.items()}

    def _s3(self) -> dict[str, str]:
        server = self.servers.get("s3")
        if not isinstance(server, S3Server):
            return {}
        return {
            "AWS_ENDPOINT_URL_S3": server.url,
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_DEFAULT_REGION": server.region,
            "BENCH_BUCKET": server.bucket,
        }


@contextmanager
def running_backends(
    stores: set[StoreName], directory: Path, say: Callable[[str], None]
) -> Iterator[Backends]:
    """Start the stores side by side; they end with the context."""
    with ExitStack() as stack:
        servers: dict[StoreName, Server] = {}
        for name, kind in _KINDS.items():
            if name not in stores:
                continue
            try:
                server = kind.shared(directory / name)
            except ServerMissing as missing:
                say(f"LEFT OUT: {missing}")
                continue
            stack.callback(server.discard)
            server.launch()
            servers[name] = server
        for server in servers.values():
            server.wait_until_ready()
        yield Backends(servers)


def fill_embedded(file: Path, size: int, names: int = NAMES) -> None:
    """Store so many items of the size in a SQLite file, before a service opens it."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(_EMBEDDED_TABLE)
        database.executemany(
            "INSERT OR REPLACE INTO donuts (name, content) VALUES (?, ?)",
            ((name, value_of(name, size)) for name in _names(size, names)),
        )


def _names(size: int, count: int = NAMES) -> Iterator[str]:
    return (name_of(size, number) for number in range(count))


def _batches(size: int) -> Iterator[list[str]]:
    names = _names(size)
    while batch := list(islice(names, _BATCH)):
        yield batch


def _redis_client(server: Server) -> "redis.Redis":
    return redis.Redis.from_url(server.url)


def _fill_redis(server: Server, size: int) -> None:
    with closing(_redis_client(server)) as client:
        for names in _batches(size):
            client.mset({name: value_of(name, size) for name in names})


def _count_redis(server: Server) -> int:
    # A pipeline is one read of the socket, a script's commands are none: what went over the wire.
    with closing(_redis_client(server)) as client:
        return int(client.info("stats")["total_reads_processed"])


def _fill_mongodb(server: Server, size: int) -> None:
    with MongoClient[dict[str, Any]](server.url) as client:
        homers = client.get_default_database()["homers"]
        homers.create_index("name", unique=True)
        for names in _batches(size):
            homers.insert_many({"name": n, "content": document_of(n, size)} for n in names)


def _count_mongodb(server: Server) -> int | None:
    with MongoClient[dict[str, Any]](server.url) as client:
        status = client.admin.command("serverStatus")
    # SecantusDB has the counter and never counts; mongod counted this very question.
    return int(status.get("network", {}).get("numRequests", 0)) or None


@contextmanager
def _mysql_cursor(server: Server) -> Iterator[Any]:
    assert isinstance(server, MysqlServer)
    connection = pymysql.connect(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        database=server.database,
        autocommit=True,
    )
    with connection, connection.cursor() as cursor:
        yield cursor


def _fill_mysql(server: Server, size: int) -> None:
    with _mysql_cursor(server) as cursor:
        cursor.execute(_TABLE)
        for names in _batches(size):
            cursor.executemany(
                "REPLACE INTO lisa (name, content) VALUES (%s, %s)",
                [(name, value_of(name, size)) for name in names],
            )


def _count_mysql(server: Server) -> int:
    with _mysql_cursor(server) as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
        return int(cursor.fetchone()[1])


def _fill_s3(server: Server, size: int) -> None:
    assert isinstance(server, S3Server)
    name = name_of(size, 0)
    with closing(server.client()) as client:
        client.put_object(Bucket=server.bucket, Key=f"photos/{name}", Body=value_of(name, size))


def _redis_version(server: Server) -> str:
    with closing(_redis_client(server)) as client:
        found = client.info("server")
    return (
        f"{found.get('server_name', 'redis')} {found.get('valkey_version', found['redis_version'])}"
    )


def _mongodb_version(server: Server) -> str:
    with MongoClient[dict[str, Any]](server.url) as client:
        found = client.server_info()
    return (
        f"{'SecantusDB as ' if 'secantus' in str(found).lower() else ''}MongoDB {found['version']}"
    )


def _mysql_version(server: Server) -> str:
    with _mysql_cursor(server) as cursor:
        cursor.execute("SELECT VERSION()")
        return str(cursor.fetchone()[0])


def _s3_version(server: Server) -> str:
    assert isinstance(server, S3Server)
    with closing(server.client()) as client:
        headers = client.head_bucket(Bucket=server.bucket)["ResponseMetadata"]["HTTPHeaders"]
    return headers.get("server", "unknown")


_FILL: dict[StoreName, Callable[[Server, int], None]] = {
    "redis": _fill_redis,
    "mongodb": _fill_mongodb,
    "mysql": _fill_mysql,
    "s3": _fill_s3,
}
_COUNT: dict[StoreName, Callable[[Server], int | None]] = {
    "redis": _count_redis,
    "mongodb": _count_mongodb,
    "mysql": _count_mysql,
}
_VERSION: dict[StoreName, Callable[[Server], str]] = {
    "redis": _redis_version,
    "mongodb": _mongodb_version,
    "mysql": _mysql_version,
    "s3": _s3_version,
}

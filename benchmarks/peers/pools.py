"""In charge of the peers' drivers: the official ones, pooled, opened once when the service starts.

Where a driver offers a choice, it is the faster one: hiredis, autocommit, a pool that waits rather
than fails, a small object in one piece. All peers call these same lines.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import unquote, urlsplit

import aiosqlite
import asyncmy
from pymongo import AsyncMongoClient
from redis.asyncio import BlockingConnectionPool, Redis

POOL = int(os.environ.get("BENCH_POOL", "16"))
PIECE = 1024 * 1024
"""Bytes; larger objects are streamed."""

_SELECT = "SELECT content FROM lisa WHERE name = %s"
_UPSERT = (
    "INSERT INTO lisa (name, content) VALUES (%s, %s) "
    "ON DUPLICATE KEY UPDATE content = VALUES(content)"
)
_SELECT_HERE = "SELECT content FROM donuts WHERE name = ?"
_UPSERT_HERE = (
    "INSERT INTO donuts (name, content) VALUES (?, ?) "
    "ON CONFLICT (name) DO UPDATE SET content = excluded.content"
)


class Body(Protocol):
    """An object that is being read."""

    size: int

    async def whole(self) -> bytes:
        """Return all of it."""

    def parts(self) -> AsyncIterator[bytes]:
        """Give it part by part."""


class Objects(Protocol):
    """A client of S3."""

    async def open(self, name: str) -> Body:
        """Begin to read an object."""


@dataclass
class Pools:
    """What the handlers call."""

    redis: "Redis"
    homers: Any
    mysql: Any
    embedded: aiosqlite.Connection
    objects: Objects | None

    async def read_marge(self, name: str) -> bytes | None:
        """Redis."""
        return cast("bytes | None", await self.redis.get(name))

    async def write_marge(self, name: str, value: bytes) -> None:
        """Redis."""
        await self.redis.set(name, value)

    async def read_homer(self, name: str) -> Any:
        """MongoDB; None where there is none."""
        document = await self.homers.find_one({"name": name}, {"_id": 0, "content": 1})
        return None if document is None else document["content"]

    async def write_homer(self, name: str, content: Any) -> None:
        """MongoDB."""
        await self.homers.update_one({"name": name}, {"$set": {"content": content}}, upsert=True)

    async def read_lisa(self, name: str) -> bytes | None:
        """MySQL."""
        async with self.mysql.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(_SELECT, (name,))
            row = await cursor.fetchone()
        return None if row is None else row[0]

    async def write_lisa(self, name: str, value: bytes) -> None:
        """MySQL; committed at once."""
        async with self.mysql.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(_UPSERT, (name, value))

    async def read_donut(self, name: str) -> bytes | None:
        """SQLite."""
        async with self.embedded.execute(_SELECT_HERE, (name,)) as cursor:
            row = await cursor.fetchone()
        return None if row is None else row[0]

    async def write_donut(self, name: str, value: bytes) -> None:
        """SQLite; on the disk when it returns."""
        await self.embedded.execute(_UPSERT_HERE, (name, value))
        await self.embedded.commit()

    async def open_photo(self, name: str) -> Body:
        """S3."""
        assert self.objects is not None
        return await self.objects.open(name)


@asynccontextmanager
async def open_pools() -> AsyncIterator[Pools]:
    """Open what the environment names; what it does not name is not asked for."""
    async with AsyncExitStack() as stack:
        redis_url = os.environ.get("BENCH_REDIS") or "redis://127.0.0.1"
        pool = BlockingConnectionPool.from_url(redis_url, max_connections=POOL, timeout=None)
        redis = await stack.enter_async_context(Redis.from_pool(pool))
        mongodb: AsyncMongoClient[Any] = AsyncMongoClient(
            os.environ.get("BENCH_MONGODB") or "mongodb://127.0.0.1/x", maxPoolSize=POOL
        )
        stack.push_async_callback(mongodb.close)
        embedded = await stack.enter_async_context(aiosqlite.connect(os.environ["BENCH_EMBEDDED"]))
        for statement in ("journal_mode = WAL", "synchronous = FULL"):
            await embedded.execute(f"PRAGMA {statement}")
        await embedded.execute(
            "CREATE TABLE IF NOT EXISTS donuts "
            "(name TEXT NOT NULL PRIMARY KEY, content BLOB NOT NULL, expires_at INTEGER)"
        )
        await embedded.commit()
        yield Pools(
            redis,
            mongodb.get_default_database()["homers"],
            await _open_mysql(stack),
            embedded,
            await _open_objects(stack),
        )


async def _open_mysql(stack: AsyncExitStack) -> Any:
    url = urlsplit(os.environ.get("BENCH_MYSQL", ""))
    if not url.hostname:
        return None
    return await stack.enter_async_context(
        asyncmy.create_pool(
            host=url.hostname,
            port=url.port or 3306,
            user=unquote(url.username or ""),
            password=unquote(url.password or ""),
            database=url.path.lstrip("/"),
            minsize=1,
            maxsize=POOL,
            autocommit=True,
        )
    )


async def _open_objects(stack: AsyncExitStack) -> Objects | None:
    # Each client is imported where it is the chosen one.
    match os.environ.get("BENCH_S3_CLIENT") if os.environ.get("BENCH_BUCKET") else None:
        case "aiobotocore":
            from benchmarks.peers.objects_aiobotocore import open_objects  # noqa: PLC0415

            return await stack.enter_async_context(open_objects())
        case "obstore":
            from benchmarks.peers.objects_obstore import ObstoreObjects  # noqa: PLC0415

            return ObstoreObjects()
        case _:
            return None  # stock Tornado has boto3 in threads of its own

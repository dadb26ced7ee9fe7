"""A store under a policy keeps the contract of the stores, and what the policy adds."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw
import pytest

from springfield.errors import Unavailable
from springfield.model import Item, Kind, Name
from springfield.observability.events import Events, StoreCallFinished
from springfield.resilience.deadline import deadline
from springfield.resilience.policy import Limits, Policy
from springfield.stores.filesystem.object import open_object
from springfield.stores.guarded import Guarded, GuardedObject, observer
from springfield.stores.objects import ObjectStore
from springfield.stores.redis.adapter import open_store as open_redis
from springfield.stores.sqlite.adapter import open_store as open_sqlite
from springfield.stores.store import Adapter, StoreOptions
from tests.servers.process import free_port
from tests.servers.redis import RedisServer
from tests.stores.contract import StoreContract
from tests.stores.object_contract import ObjectPlace, ObjectStoreContract, in_chunks, noise, write
from tests.stores.place import Place
from tests.stores.test_filesystem import PlainFile
from tests.stores.test_redis import database

T = TypeVar("T")
Open = Callable[[str, StoreOptions], AbstractAsyncContextManager[T]]


def policy(options: StoreOptions, events: Events) -> Policy:
    limits = Limits(
        attempt_timeout=options.timeout,
        call_timeout=options.timeout + 5,
        attempts=3,
        retry_budget=0.2,
        breaker_failures=5,
        breaker_cooldown=1,
        concurrency=options.pool_size,
        queue_limit=1024,
        queue_timeout=5,
    )
    observe = observer(events, options.resource, "Store")
    return Policy(options.resource, "Store", limits, events=events, observe=observe)


def guarded(open_store: Open[Adapter]) -> Open[Adapter]:
    @asynccontextmanager
    async def opened(url: str, options: StoreOptions) -> AsyncIterator[Adapter]:
        async with open_store(url, options) as store:
            yield Guarded(store, policy(options, Events()))

    return opened


def guarded_object(open_store: Open[Any]) -> Open[ObjectStore]:
    @asynccontextmanager
    async def opened(url: str, options: StoreOptions) -> AsyncIterator[ObjectStore]:
        async with open_store(url, options) as store:
            yield GuardedObject(store, policy(options, Events()))

    return opened


class TestGuardedSQLite(StoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        (tmp_path / "a-file").touch()
        locker = apsw.Connection(str(tmp_path / "locked.db"))
        locker.execute("BEGIN EXCLUSIVE")
        yield Place(
            guarded(open_sqlite),
            has_pool=False,
            url=f"sqlite://{tmp_path}/data/springfield.db",
            down_url=f"sqlite://{tmp_path}/a-file/springfield.db",
            silent_url=f"sqlite://{tmp_path}/locked.db",
            timeout=1.0,
        )
        locker.close()


class TestGuardedRedis(StoreContract):
    @pytest.fixture
    def place(self, redis_server: RedisServer) -> Iterator[Place]:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            yield Place(
                guarded(open_redis),
                has_pool=False,
                url=database(redis_server, 8),
                down_url=f"redis://127.0.0.1:{free_port()}",
                silent_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/1",
                timeout=1.0,
            )


class TestGuardedFilesystem(ObjectStoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> ObjectPlace:
        (tmp_path / "a-file").touch()
        os.mkfifo(tmp_path / "a-fifo")
        return ObjectPlace(
            guarded_object(open_object),
            url=f"file://{tmp_path}/data/bart",
            down_url=f"file://{tmp_path}/a-file/bart",
            silent_url=f"file://{tmp_path}/a-fifo",
            plain=PlainFile(tmp_path / "data" / "bart"),
        )


OPTIONS = StoreOptions("things", Kind.TEXT)


async def test_each_call_is_told_with_its_batch_and_upkeep_is_not(tmp_path: Path) -> None:
    told: list[StoreCallFinished] = []
    events = Events()
    events.subscribe(StoreCallFinished, told.append)
    async with open_sqlite(f"sqlite://{tmp_path}/x.db", OPTIONS) as store:
        guard = Guarded(store, policy(OPTIONS, events))
        await guard.prepare()
        await guard.ping()
        await guard.inspect()
        await guard.sweep()
        assert told == []
        await guard.write({Name(n): Item(b"x") for n in "abc"})
        await guard.read([Name("a"), Name("b")])
        await guard.names("", None, 10)
        await guard.delete([Name("a")])
        await guard.swap(Name("a"), None, Item(b"y"))
    assert [(each.operation, each.names, each.error) for each in told] == [
        ("write", 3, None),
        ("read", 2, None),
        ("names", 10, None),
        ("delete", 1, None),
        ("swap", 1, None),
    ]
    assert all(each.resource == "things" and each.seconds > 0 for each in told)


async def test_a_download_that_is_not_taken_in_time_ends(tmp_path: Path) -> None:
    async with open_object(f"file://{tmp_path}/bart", OPTIONS) as store:
        guard = GuardedObject(store, policy(OPTIONS, Events()))
        await write(guard, in_chunks(noise(1024 * 1024)), None)
        now = asyncio.get_running_loop().time
        deadline.set(now() + 30)
        async with guard.open() as opened:
            assert opened is not None
            assert len(b"".join([chunk async for chunk in opened.chunks])) == 1024 * 1024
        moment = now() + 0.2
        deadline.set(moment)

        async def dawdle() -> None:
            async with guard.open() as opened:
                assert opened is not None
                async for _ in opened.chunks:
                    await asyncio.sleep(moment - now())

        with pytest.raises(Unavailable) as late:
            await dawdle()
        assert late.value.slow


async def test_an_upload_that_stalls_past_the_deadline_leaves_the_old_object(
    tmp_path: Path,
) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield b"new"
        await asyncio.Event().wait()

    async with open_object(f"file://{tmp_path}/bart", OPTIONS) as store:
        guard = GuardedObject(store, policy(OPTIONS, Events()))
        old = await write(guard, in_chunks(b"old"), None)
        deadline.set(asyncio.get_running_loop().time() + 0.1)
        with pytest.raises(Unavailable, match="nothing was done"):
            await guard.write(stalling(), None)
        await guard._policy.close()
        deadline.set(None)
        assert await guard.stat() == old
        assert PlainFile(tmp_path / "bart").leftovers() == []

"""A store behind waves keeps the contract of the stores; what the waves add: `test_coalescing.py`."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import apsw
import pytest

from springfield.stores.coalesced import Coalesced
from springfield.stores.mongodb.adapter import open_store as open_mongodb
from springfield.stores.mysql.adapter import open_store as open_mysql
from springfield.stores.redis.adapter import open_store as open_redis
from springfield.stores.sqlite.adapter import open_store as open_sqlite
from springfield.stores.store import Adapter, StoreOptions
from tests.servers.mongodb import MongodbServer
from tests.servers.mysql import MysqlServer
from tests.servers.process import free_port
from tests.servers.redis import RedisServer
from tests.servers.s3 import S3Server
from tests.stores.conftest import EndpointSetter
from tests.stores.contract import StoreContract
from tests.stores.mongodb_documents import JSON, new_documents, url_of
from tests.stores.mysql_tables import new_url
from tests.stores.place import Place
from tests.stores.test_guarded import Open, guarded
from tests.stores.test_mongodb import place_at
from tests.stores.test_redis import database
from tests.stores.test_s3 import BrokenEndpoints, place_of_s3

T = TypeVar("T")


def coalesced(open_store: Open[Adapter]) -> Open[Adapter]:
    @asynccontextmanager
    async def opened(url: str, options: StoreOptions) -> AsyncIterator[Adapter]:
        async with guarded(open_store)(url, options) as store:
            waves = Coalesced(store, "Store (things)")
            yield waves
            await waves.close(options.timeout + 5)

    return opened


@pytest.fixture
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


class TestCoalescedSQLite(StoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        (tmp_path / "a-file").touch()
        locker = apsw.Connection(str(tmp_path / "locked.db"))
        locker.execute("BEGIN EXCLUSIVE")
        yield Place(
            coalesced(open_sqlite),
            has_pool=False,
            url=f"sqlite://{tmp_path}/data/springfield.db",
            down_url=f"sqlite://{tmp_path}/a-file/springfield.db",
            silent_url=f"sqlite://{tmp_path}/locked.db",
            timeout=1.0,
        )
        locker.close()


class TestCoalescedRedis(StoreContract):
    @pytest.fixture
    def place(self, redis_server: RedisServer, silent: str) -> Place:
        return Place(
            coalesced(open_redis),
            has_pool=False,
            url=database(redis_server, 9),
            down_url=f"redis://127.0.0.1:{free_port()}",
            silent_url=f"redis://{silent}/1",
            timeout=1.0,
        )


class TestCoalescedMySQL(StoreContract):
    @pytest.fixture
    def place(self, mysql_server: MysqlServer, silent: str) -> Iterator[Place]:
        with new_url(mysql_server) as url:
            yield Place(
                coalesced(open_mysql),
                has_pool=False,
                url=url,
                down_url=f"mysql://lisa@127.0.0.1:{free_port()}/simpson",
                silent_url=f"mysql://lisa@{silent}/simpson",
                timeout=1.0,
            )


class TestCoalescedMongoDB(StoreContract):
    @pytest.fixture
    async def place(self, mongodb_server: MongodbServer, silent: str) -> AsyncIterator[Place]:
        async with new_documents(mongodb_server) as documents:
            url = url_of(mongodb_server, documents)
            async with open_mongodb(url, JSON) as store:
                await store.prepare(with_ttl=True)
            place = place_at(url, int(silent.rpartition(":")[2]), expires=True)
            yield replace(place, open_store=coalesced(place.open_store), has_pool=False)


class TestCoalescedS3(StoreContract):
    @pytest.fixture
    def place(self, seaweed: S3Server, use_endpoint: EndpointSetter) -> Iterator[Place]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            broken = BrokenEndpoints(use_endpoint, listener.getsockname()[1])
            yield replace(place_of_s3(coalesced(broken.open_store), seaweed), has_pool=False)

"""In charge of the fixtures that give a test its real servers.

A plain fixture shares one server with the whole session; its ``own_`` form is a private one that
the test may kill, pause and start again.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from tests.servers.missing import ServerMissing, report_missing
from tests.servers.mongodb import MongodbServer
from tests.servers.mysql import MysqlServer
from tests.servers.redis import GenuineRedis, RedisServer, ValkeyServer
from tests.servers.redis_cluster import RedisCluster
from tests.servers.redis_sentinel import RedisSentinel
from tests.servers.s3 import S3Server
from tests.servers.server import Server
from tests.servers.shared import SharedServers

_SHARED: Mapping[str, type[Server]] = {
    "s3_server": S3Server,
    "mongodb_server": MongodbServer,
    "redis_server": RedisServer,
    "valkey_server": ValkeyServer,
    "mysql_server": MysqlServer,
}

OwnT = TypeVar("OwnT")


@pytest.fixture(scope="session")
def shared_servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedServers]:
    """Start, side by side, every shared server that any collected test asks for by name."""
    asked = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    with ExitStack() as stack:
        servers = SharedServers(tmp_path_factory.mktemp, stack)
        for name, kind in _SHARED.items():
            if name in asked:
                servers.launch(kind)
        yield servers


def _own(
    prepare: Callable[[Path], AbstractContextManager[OwnT]], factory: pytest.TempPathFactory
) -> Iterator[OwnT]:
    try:
        server = prepare(factory.mktemp("own-server"))
    except ServerMissing as missing:
        report_missing(missing)
    with server as running:
        yield running


@pytest.fixture(scope="session")
def mongodb_server(shared_servers: SharedServers) -> MongodbServer:
    return shared_servers.ready(MongodbServer)


@pytest.fixture(scope="session")
def redis_server(shared_servers: SharedServers) -> RedisServer:
    return shared_servers.ready(RedisServer)


@pytest.fixture(scope="session")
def valkey_server(shared_servers: SharedServers) -> ValkeyServer:
    return shared_servers.ready(ValkeyServer)


@pytest.fixture(scope="session")
def mysql_server(shared_servers: SharedServers) -> MysqlServer:
    return shared_servers.ready(MysqlServer)


@pytest.fixture(scope="session")
def s3_server(shared_servers: SharedServers) -> S3Server:
    return shared_servers.ready(S3Server)


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    yield from _own(RedisCluster.own, tmp_path_factory)


@pytest.fixture(scope="session")
def redis_sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    yield from _own(RedisSentinel.own, tmp_path_factory)


@pytest.fixture
def own_mongodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongodbServer]:
    yield from _own(MongodbServer.own, tmp_path_factory)


@pytest.fixture
def own_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    yield from _own(RedisServer.own, tmp_path_factory)


@pytest.fixture
def own_genuine_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GenuineRedis]:
    yield from _own(GenuineRedis.own, tmp_path_factory)


@pytest.fixture
def own_valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    yield from _own(ValkeyServer.own, tmp_path_factory)


@pytest.fixture
def own_mysql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MysqlServer]:
    yield from _own(MysqlServer.own, tmp_path_factory)


@pytest.fixture
def own_s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    yield from _own(S3Server.own, tmp_path_factory)


@pytest.fixture
def own_redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    yield from _own(RedisCluster.own, tmp_path_factory)


@pytest.fixture
def own_redis_sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    yield from _own(RedisSentinel.own, tmp_path_factory)

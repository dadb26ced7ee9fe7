"""What is said of a write whose connection was cut: before it was sent, or after.

What was handed to a socket counts as sent: nobody can tell how far it came, so that is
`outcome-unknown` also where the store never got it.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest
import redis

from tests.faults import FaultyProxy
from tests.process.conftest import environment_for
from tests.servers.mongodb import MongodbServer
from tests.servers.mysql import MysqlServer
from tests.servers.redis import RedisServer
from tests.service import ServiceProcess, running, springfield

OLD, NEW = b'"old-content"', b'"new-content"'
PATH = "/api/v1/homers/cut"
MARKER = b"new-content"
STORES = ["mongodb", "redis", "mysql", "s3"]

GREETED = {"mongodb", "redis", "mysql"}
"""A new connection to these says something before the first write is sent; HTTP does not."""


@dataclass(frozen=True)
class Cut:
    """The service with its store behind a proxy, and one item written."""

    store: str
    service: ServiceProcess
    proxy: FaultyProxy


@pytest.fixture(params=STORES)
def cut(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cut]:
    store = request.param
    server = request.getfixturevalue(f"{store}_server")
    with FaultyProxy(server.host, server.port) as proxy:
        direct, behind = f"{server.host}:{server.port}", f"127.0.0.1:{proxy.port}"
        environment = {
            name: value.replace(direct, behind)
            for name, value in environment_for(store, request, "cut").items()
        }
        assert springfield("init", directory=tmp_path, **environment).returncode == 0
        with running(tmp_path, **environment) as service:
            assert service.post(PATH, OLD).status == 204
            yield Cut(store, service, proxy)


def written_at_once(service: ServiceProcess) -> set[int]:
    """Write sixteen items at once; return the statuses."""
    with ThreadPoolExecutor(16) as pool:
        return {
            each.status for each in pool.map(lambda n: service.post(f"{PATH}{n}", OLD), range(16))
        }


def test_a_write_that_was_sent_and_not_answered_is_outcome_unknown(cut: Cut) -> None:
    cut.proxy.cut_after(MARKER)
    answer = cut.service.post(PATH, NEW)
    cut.proxy.heal()
    if answer.status == 204:  # the driver asked again, and the server knew the write (MongoDB)
        assert cut.store == "mongodb"
        assert cut.service.get(PATH).body == NEW
        return
    assert (answer.status, answer.problem["code"]) == (503, "outcome-unknown")
    assert cut.proxy.faults == 1
    assert cut.service.get(PATH).body in {OLD, NEW}


def test_a_write_that_was_sent_and_lost_on_the_way_is_outcome_unknown(cut: Cut) -> None:
    cut.proxy.cut_before(MARKER)
    answer = cut.service.post(PATH, NEW)
    cut.proxy.heal()
    assert (answer.status, answer.problem["code"]) == (503, "outcome-unknown")
    # A write that the server would know again PyMongo sends twice (replica sets of MongoDB).
    assert cut.proxy.faults in ({1, 2} if cut.store == "mongodb" else {1})
    assert cut.service.get(PATH).body == OLD
    assert cut.service.post(PATH, NEW).status == 204
    assert cut.service.get(PATH).body == NEW


def test_a_write_for_which_no_connection_could_be_made_is_not_done(cut: Cut) -> None:
    with cut.proxy.refusing():
        answer = cut.service.post(PATH, NEW)
    assert answer.status in {503, 504}
    assert answer.problem["code"] == "not-done"
    assert cut.service.get(PATH).body == OLD
    assert cut.service.post(PATH, NEW).status == 204


def test_a_write_whose_connection_was_cut_before_the_store_greeted_is_not_done(cut: Cut) -> None:
    cut.proxy.cut_greetings()
    assert cut.proxy.drop() >= 1
    answer = cut.service.post(PATH, NEW)
    cut.proxy.heal()
    assert answer.status in {503, 504}
    assert answer.problem["code"] == ("not-done" if cut.store in GREETED else "outcome-unknown")
    assert cut.proxy.faults >= 1
    assert cut.service.get(PATH).body == OLD
    assert cut.service.post(PATH, NEW).status == 204


@pytest.mark.parametrize("cut", ["mysql"], indirect=True)
def test_a_write_that_the_store_was_still_preparing_is_not_done(cut: Cut) -> None:
    cut.proxy.drop()
    cut.proxy.cut_after(b"INSERT ")  # the text goes ahead of the content
    answer = cut.service.post(PATH, NEW)
    cut.proxy.heal()
    assert (answer.status, answer.problem["code"]) == (503, "not-done")
    assert cut.proxy.faults == 1
    assert cut.service.get(PATH).body == OLD


def test_connections_that_were_closed_while_idle_cost_no_write(cut: Cut) -> None:
    for _ in range(5):
        assert written_at_once(cut.service) == {204}
        assert cut.proxy.drop() >= 1
        assert written_at_once(cut.service) == {204}
        assert cut.proxy.drop() >= 1
        assert cut.service.post(PATH, NEW).status == 204
        assert cut.service.get(PATH).body == NEW


def test_connections_that_redis_killed_cost_no_write(
    redis_server: RedisServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with running(tmp_path, **environment_for("redis", request, "killed")) as service:
        assert written_at_once(service) == {204}
        with redis.Redis.from_url(redis_server.url) as client:
            assert client.client_kill_filter(_type="normal", skipme=True) >= 1
        assert written_at_once(service) == {204}


def test_connections_that_mysql_killed_cost_no_write(
    own_mysql_server: MysqlServer, tmp_path: Path
) -> None:
    environment = {"SPRINGFIELD_HOMERS_URL": own_mysql_server.url}
    assert springfield("init", directory=tmp_path, **environment).returncode == 0
    with running(tmp_path, **environment) as service:
        assert written_at_once(service) == {204}
        assert kill_all_others(own_mysql_server) >= 1
        assert written_at_once(service) == {204}


def kill_all_others(server: MysqlServer) -> int:
    """Close every connection but this one from the server's side; return how many there were."""
    with (
        pymysql.connect(
            host=server.host, port=server.port, user=server.user, password=server.password
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT id FROM information_schema.processlist"
            " WHERE user = %s AND id <> CONNECTION_ID()",
            [server.user],
        )
        found = cursor.fetchall()
        for (number,) in found:
            cursor.execute("KILL %s", [number])
        return len(found)


def test_a_restart_of_mongodb_costs_no_write(
    own_mongodb_server: MongodbServer, tmp_path: Path
) -> None:
    environment = {"SPRINGFIELD_HOMERS_URL": own_mongodb_server.url}
    assert springfield("init", directory=tmp_path, **environment).returncode == 0
    with running(tmp_path, **environment) as service:
        assert written_at_once(service) == {204}
        own_mongodb_server.stop()
        own_mongodb_server.start()
        assert written_at_once(service) == {204}

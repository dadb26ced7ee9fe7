"""Compare-and-set and lifetimes on MySQL and MariaDB, beyond what every store promises."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from springfield.errors import (
    Misconfigured,
    NameCollision,
    NotStorable,
    OutcomeUnknown,
    SpringfieldError,
)
from springfield.model import Item, Kind, Name
from springfield.stores.mysql.adapter import MySQL, open_store
from springfield.stores.store import StoreOptions
from tests.servers.mysql import MysqlServer
from tests.stores.mysql_tables import BYTES, COLLATIONS, TEXT, new_url, sql, talks_table
from tests.stores.place import all_names, read_item, read_one, refusals, write_one

LISA = Name("lisa")
EXPIRY = "expires_at BIGINT NULL COMMENT 'milliseconds since 1970'"


@pytest.fixture
def url(mysql_server: MysqlServer) -> Iterator[str]:
    """A database that holds nothing yet."""
    with new_url(mysql_server) as url:
        yield url


@pytest.fixture
def database(mysql_server: MysqlServer, url: str) -> str:
    name = url.rpartition("/")[2]
    sql(mysql_server, f"CREATE DATABASE {name}")
    return name


async def swapped(store: MySQL, name: str, expected: Item | None, new: Item | None) -> Any:
    """Give "won", "lost", or the class of the error."""
    try:
        return "won" if await store.swap(Name(name), expected, new) else "lost"
    except SpringfieldError as error:
        return type(error)


class TestSwapInTableOfAnotherProgram:
    """The talk's table, with each of several collations."""

    @pytest.fixture(params=COLLATIONS, autouse=True)
    def _table(self, mysql_server: MysqlServer, database: str, request: Any) -> None:
        talks_table(mysql_server, database, request.param)

    async def test_content_is_compared_as_bytes_whatever_the_collation(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        sql(mysql_server, "INSERT INTO lisa VALUES ('lisa', 'sax')", database=database)
        read = Item(b"sax")
        async with open_store(url, TEXT) as store:
            for alike in ("SAX", "säx", "sax ", " sax", "sa", ""):
                sql(mysql_server, "UPDATE lisa SET content = %s", alike, database=database)
                assert await store.swap(LISA, read, Item(b"new")) is None
                assert await store.swap(LISA, read, None) is None
                assert await read_one(store, "lisa") == alike.encode()
                read_now = await read_item(store, "lisa")
                assert await store.swap(LISA, read_now, Item("ä".encode()))
            assert await store.swap(LISA, Item("ä".encode()), None)
        assert sql(mysql_server, "SELECT * FROM lisa", database=database) == []

    async def test_a_swap_never_touches_a_row_whose_name_only_folds_to_this_one(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        sql(mysql_server, "INSERT INTO lisa VALUES ('lisa', 'mine')", database=database)
        mine = Item(b"mine")
        async with open_store(url, TEXT) as store:
            for other in ("LISA", "lisa ", "lísa"):
                assert await swapped(store, other, mine, Item(b"theirs")) == "lost"
                assert await swapped(store, other, mine, None) == "lost"
                inserted = await swapped(store, other, None, Item(b"theirs"))
                assert inserted in ("won", NameCollision)
                assert await read_one(store, other) == (b"theirs" if inserted == "won" else None)
                if inserted == "won":
                    assert await store.swap(Name(other), Item(b"theirs"), None)
            assert await swapped(store, "lisa ", None, Item(b"x")) is NameCollision
        assert sql(mysql_server, "SELECT * FROM lisa", database=database) == [("lisa", "mine")]

    async def test_racers_to_insert_names_that_fold_never_mix(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        async with open_store(url, TEXT) as store:
            for turn in range(10):
                names = ["maggie", "maggie "] * 6
                told = await asyncio.gather(
                    *(swapped(store, n, None, Item(b"%d" % i)) for i, n in enumerate(names))
                )
                winner = told.index("won")
                assert set(told[winner % 2 :: 2]) == {"won", "lost"}
                assert set(told[1 - winner % 2 :: 2]) == {NameCollision}
                rows = sql(mysql_server, "SELECT * FROM lisa", database=database)
                assert rows == [(names[winner], str(winner))], turn
                await store.delete([Name(names[winner])])

    async def test_a_lifetime_is_refused_for_its_name_alone(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        items = {LISA: Item(b"sax", ttl=5), Name("bart"): Item(b"board")}
        async with open_store(url, TEXT) as store:
            refused = refusals(await store.write(items))
            assert list(refused) == [LISA]
            assert isinstance(refused[LISA], NotStorable)
            assert "springfield init" in str(refused[LISA])
            assert await swapped(store, "lisa", None, items[LISA]) is NotStorable
            assert await swapped(store, "bart", Item(b"board"), items[LISA]) is NotStorable
            assert await store.sweep() == 0
        assert sql(mysql_server, "SELECT * FROM lisa", database=database) == [("bart", "board")]


class TestSwapInUnusualTables:
    async def test_a_code_that_its_character_set_does_not_know_is_only_overwritten_whole(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        talks_table(mysql_server, database, "greek_general_ci")
        sql(mysql_server, "INSERT INTO lisa VALUES ('lisa', x'61D2')", database=database)
        async with open_store(url, TEXT) as store:
            read = await read_item(store, "lisa")
            assert await swapped(store, "lisa", read, Item(b"new")) is NotStorable
            await write_one(store, "lisa", "ά".encode())
            assert await store.swap(LISA, Item("ά".encode()), Item("έ".encode()))
            assert await read_one(store, "lisa") == "έ".encode()

    async def test_a_lost_insert_runs_no_trigger_on_updates(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        columns = f"name VARCHAR(9) PRIMARY KEY, content TEXT, {EXPIRY}, version INT DEFAULT 1"
        sql(mysql_server, f"CREATE TABLE lisa ({columns})", database=database)
        trigger = "BEFORE UPDATE ON lisa FOR EACH ROW SET NEW.version = OLD.version + 1"
        sql(mysql_server, f"CREATE TRIGGER count_updates {trigger}", database=database)
        async with open_store(url, TEXT) as store:
            told = [await swapped(store, "lisa", None, Item(b"sax")) for _ in range(3)]
            assert told == ["won", "lost", "lost"]
            assert await swapped(store, "LISA", None, Item(b"sax")) is NameCollision
            versions = "SELECT version FROM lisa"
            assert sql(mysql_server, versions, database=database) == [(1,)]
            assert await store.swap(LISA, Item(b"sax"), Item(b"sax"))
            assert sql(mysql_server, versions, database=database) == [(2,)]

    async def test_what_a_rule_of_the_table_forbids_is_refused(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        talks_table(
            mysql_server, database, "utf8mb4_bin", "PRIMARY KEY (name), UNIQUE (content(100))"
        )
        references = "name VARCHAR(32) COLLATE utf8mb4_bin REFERENCES lisa (name)"
        sql(mysql_server, f"CREATE TABLE fans ({references})", database=database)
        async with open_store(url, TEXT) as store:
            await write_one(store, "lisa", b"sax")
            await write_one(store, "bart", b"board")
            sql(mysql_server, "INSERT INTO fans VALUES ('lisa')", database=database)
            assert await swapped(store, "bart", Item(b"board"), Item(b"sax")) is NotStorable
            assert await swapped(store, "lisa", Item(b"sax"), None) is Misconfigured
            assert await read_one(store, "bart") == b"board"
            assert await read_one(store, "lisa") == b"sax"

    async def test_content_and_condition_have_to_fit_into_one_packet(
        self, own_mysql_server: MysqlServer
    ) -> None:
        sql(own_mysql_server, "SET GLOBAL max_allowed_packet = 1048576")
        old = Item(bytes(600_000))
        async with open_store(own_mysql_server.url, BYTES) as store:
            await store.prepare()
            assert await store.swap(LISA, None, old)
            assert await swapped(store, "lisa", old, Item(b"x" * 600_000)) is NotStorable
            assert await read_one(store, "lisa") == old.content
            assert await store.swap(LISA, old, Item(b"x" * 400_000))
            warnings = (await store.inspect()).warnings
            assert any("twice under a precondition" in warning for warning in warnings)

    async def test_a_swap_without_an_answer_is_unknown_and_not_repeated(
        self, own_mysql_server: MysqlServer
    ) -> None:
        options = StoreOptions("things", Kind.BYTES, timeout=0.5, pool_size=1)
        async with open_store(own_mysql_server.url, options) as store:
            await store.prepare()
            await write_one(store, "lisa", b"oldest")
            # The statement is prepared from here on: what is sent next is the swap itself.
            assert await store.swap(LISA, Item(b"oldest"), Item(b"old"))
            own_mysql_server.pause()
            try:
                with pytest.raises(OutcomeUnknown) as swap:
                    await store.swap(LISA, Item(b"old"), Item(b"new"))
            finally:
                own_mysql_server.resume()
            assert swap.value.slow
            assert await read_one(store, "lisa") in (b"old", b"new")

    async def test_every_call_costs_one_command(self, own_mysql_server: MysqlServer) -> None:
        def executed() -> int:
            ((_, count),) = sql(own_mysql_server, "SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")
            return int(count)

        old, new = Item(b"old", ttl=100), Item(b"new")
        async with open_store(own_mysql_server.url, BYTES) as store:
            await store.prepare()
            before = executed()
            await store.write({Name(f"n{number}"): old for number in range(256)})
            await store.read([Name(f"n{number}") for number in range(256)])
            assert await store.swap(LISA, None, old)
            assert await store.swap(LISA, None, old) is None
            assert await store.swap(LISA, old, new)
            assert await store.swap(LISA, old, new) is None
            assert await store.swap(LISA, new, None)
            assert await store.sweep() == 0
            assert executed() - before == 8


class TestLifetimes:
    async def test_of_racers_to_take_the_place_of_an_expired_row_one_wins(
        self, mysql_server: MysqlServer, url: str
    ) -> None:
        table = f"{url.rpartition('/')[2]}.things"
        async with open_store(url, BYTES) as store:
            await store.prepare()
            for turn in range(10):
                sql(mysql_server, f"REPLACE INTO {table} VALUES ('lisa', 'old', 1)")
                told = await asyncio.gather(
                    *(
                        swapped(store, "lisa", None, Item(b"%d" % number, ttl=100))
                        for number in range(8)
                    )
                )
                assert sorted(told) == ["lost"] * 7 + ["won"], turn
                read = await read_item(store, "lisa")
                assert read.content == b"%d" % told.index("won")
                assert read.expires_at is not None
                assert read.expires_at > time.time() + 90

    async def test_an_expired_row_is_absent_while_it_is_there(
        self, mysql_server: MysqlServer, url: str
    ) -> None:
        table = f"{url.rpartition('/')[2]}.things"
        async with open_store(url, BYTES) as store:
            await store.prepare()
            await write_one(store, "lisa", b"sax")
            read = await read_item(store, "lisa")
            sql(mysql_server, f"UPDATE {table} SET expires_at = 1")
            assert await store.swap(LISA, read, Item(b"new")) is None
            assert await store.swap(LISA, read, None) is None
            assert await store.read([LISA]) == {}
            assert await all_names(store) == []
            assert sql(mysql_server, f"SELECT * FROM {table}") == [(b"lisa", b"sax", 1)]
            await write_one(store, "lisa", b"again")
            assert sql(mysql_server, f"SELECT * FROM {table}") == [(b"lisa", b"again", None)]

    async def test_pages_skip_expired_rows_and_are_full(
        self, mysql_server: MysqlServer, url: str
    ) -> None:
        table = f"{url.rpartition('/')[2]}.things"
        async with open_store(url, BYTES) as store:
            await store.prepare()
            await store.write({Name(f"n{number}"): Item(b"x") for number in range(10)})
            sql(mysql_server, f"UPDATE {table} SET expires_at = 1 WHERE name < 'n6'")
            assert await store.names("n", None, 3) == ["n6", "n7", "n8"]
            assert await all_names(store, page=2) == ["n6", "n7", "n8", "n9"]

    async def test_sweeping_removes_some_expired_rows_and_no_others(
        self, mysql_server: MysqlServer, url: str
    ) -> None:
        table = f"{url.rpartition('/')[2]}.things"
        async with open_store(url, BYTES) as store:
            await store.prepare()
            await store.write({Name(f"n{number:03}"): Item(b"x") for number in range(250)})
            sql(mysql_server, f"UPDATE {table} SET expires_at = 1")
            await store.write({Name("lives"): Item(b"x", ttl=100), Name("ever"): Item(b"x")})
            assert [await store.sweep() for _ in range(3)] == [200, 50, 0]
            rows = sql(mysql_server, f"SELECT name FROM {table} ORDER BY name")
            assert rows == [(b"ever",), (b"lives",)]

    async def test_sweeping_beside_writers_fails_nobody(self, url: str) -> None:
        async with open_store(url, BYTES) as store:
            await store.prepare()
            gone = Item(b"x", expires_at=1.0)

            async def write(writer: int) -> None:
                for turn in range(20):
                    names = [Name(f"n{(writer * 7 + turn * each) % 40}") for each in range(1, 9)]
                    assert refusals(await store.write(dict.fromkeys(names, gone))) == {}
                    await store.swap(names[0], None, gone)

            async def sweep() -> int:
                return sum([await store.sweep() for _ in range(40)])

            *_, swept = await asyncio.gather(*(write(number) for number in range(3)), sweep())
            assert swept is not None
            assert swept > 0
            assert await all_names(store) == []

    async def test_the_time_zone_of_the_server_changes_nothing(
        self, own_mysql_server: MysqlServer
    ) -> None:
        sql(own_mysql_server, "SET GLOBAL time_zone = '+05:45'")
        async with open_store(own_mysql_server.url, BYTES) as store:
            await store.prepare()
            await store.write({LISA: Item(b"sax", ttl=100)})
            expires_at = (await read_item(store, "lisa")).expires_at
            assert expires_at is not None
            assert 90 < expires_at - time.time() < 101
            sql(own_mysql_server, "SET GLOBAL time_zone = '-08:00'")
        async with open_store(own_mysql_server.url, BYTES) as store:
            assert (await read_item(store, "lisa")).expires_at == expires_at

    @pytest.mark.parametrize(
        "column",
        [
            "expires_at BIGINT NULL",
            "expires_at INT NULL COMMENT 'milliseconds since 1970'",
            "expires_at BIGINT NOT NULL DEFAULT 1 COMMENT 'milliseconds since 1970'",
        ],
    )
    async def test_a_column_that_may_mean_something_else_is_left_alone(
        self, mysql_server: MysqlServer, database: str, url: str, column: str
    ) -> None:
        columns = f"name VARCHAR(9) PRIMARY KEY, content TEXT, {column}, INDEX (expires_at)"
        sql(mysql_server, f"CREATE TABLE lisa ({columns})", database=database)
        sql(mysql_server, "INSERT INTO lisa VALUES ('lisa', 'sax', 1700)", database=database)
        async with open_store(url, TEXT) as store:
            assert await read_item(store, "lisa") == Item(b"sax")
            assert await store.swap(LISA, Item(b"sax"), Item(b"new"))
            await write_one(store, "lisa", b"newer")
            assert await swapped(store, "lisa", Item(b"newer"), Item(b"x", ttl=5)) is NotStorable
            assert await store.sweep() == 0
        rows = sql(mysql_server, "SELECT * FROM lisa", database=database)
        assert rows == [("lisa", "newer", 1700)]

    async def test_a_table_of_one_s_own_may_have_the_column_and_is_swept_by_its_index(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        columns = f"name VARCHAR(9) PRIMARY KEY, content TEXT, {EXPIRY}"
        sql(mysql_server, f"CREATE TABLE lisa ({columns})", database=database)
        sql(mysql_server, "INSERT INTO lisa VALUES ('lisa', 'sax', 1)", database=database)
        async with open_store(url, TEXT) as store:
            assert await store.read([LISA]) == {}
            assert await swapped(store, "LISA", None, Item(b"x")) is NameCollision
            assert await store.sweep() == 0
            warnings = (await store.inspect()).warnings
            assert any("never removed" in warning for warning in warnings)
            assert await store.swap(LISA, None, Item(b"new", expires_at=1.5))
        sql(mysql_server, "ALTER TABLE lisa ADD INDEX (expires_at)", database=database)
        async with open_store(url, TEXT) as store:
            assert not any("removed" in each for each in (await store.inspect()).warnings)
            assert await store.sweep() == 1
            assert await swapped(store, "LISA", None, Item(b"x")) == "won"
        assert sql(mysql_server, "SELECT * FROM lisa", database=database) == [("LISA", "x", None)]

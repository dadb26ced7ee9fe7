"""MySQL and MariaDB keep the contract of the stores, on tables of their own and of others."""

import asyncio
import random
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from springfield.errors import (
    Misconfigured,
    NameCollision,
    NotStorable,
    OutcomeUnknown,
    Unavailable,
    Unreadable,
    Unsuitable,
)
from springfield.model import Item, Kind, Name
from springfield.stores.mysql.adapter import open_store
from springfield.stores.store import StoreOptions
from tests.servers.mysql import MysqlServer
from tests.servers.process import free_port
from tests.stores.contract import StoreContract
from tests.stores.mysql_tables import BYTES, COLLATIONS, TEXT, connect, new_url, sql, talks_table
from tests.stores.place import ALL_BYTES, Place, all_names, read_one, refusals, write_one


@pytest.fixture
def silent() -> Iterator[str]:
    """Host and port of a server that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


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


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """The file of a certificate for 127.0.0.1; its key is beside it."""
    return make_certificate(tmp_path / "certificate.pem")


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """The file of a certificate that no server has."""
    return make_certificate(tmp_path / "stranger.pem")


def make_certificate(path: Path) -> Path:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN={path.stem} -addext subjectAltName=IP:127.0.0.1 -keyout"
    )
    subprocess.run([*command.split(), f"{path}.key", "-out", path], check=True, capture_output=True)
    return path


class TestMySQL(StoreContract):
    @pytest.fixture
    def place(self, url: str, silent: str) -> Place:
        return Place(
            open_store,
            url=url,
            down_url=f"mysql://lisa@127.0.0.1:{free_port()}/simpson",
            silent_url=f"mysql://lisa@{silent}/simpson",
            timeout=1.0,
        )


class TestTableOfAnotherProgram:
    """The talk's table, with each of several collations."""

    @pytest.fixture(params=COLLATIONS, autouse=True)
    def _table(self, mysql_server: MysqlServer, database: str, request: Any) -> None:
        talks_table(mysql_server, database, request.param)

    async def test_rows_go_both_ways(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        sql(mysql_server, "INSERT INTO lisa VALUES ('thé', 'saxö')", database=database)
        async with open_store(url, TEXT) as store:
            assert await read_one(store, "thé") == "saxö".encode()
            await write_one(store, "brøther", "Bärt".encode())
        rows = sql(mysql_server, "SELECT * FROM lisa ORDER BY name", database=database)
        assert sorted(rows) == [("brøther", "Bärt"), ("thé", "saxö")]

    async def test_an_upsert_never_overwrites_a_name_that_folds(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        sql(mysql_server, "INSERT INTO lisa VALUES ('lisa', 'mine')", database=database)
        async with open_store(url, TEXT) as store:
            for other in ("LISA", "lisa ", "lísa"):
                refused = refusals(await store.write({Name(other): Item(b"theirs")}))
                if refused:
                    assert isinstance(refused[Name(other)], NameCollision)
                    assert await store.read([Name(other)]) == {}
                else:
                    assert await read_one(store, other) == b"theirs"
                assert await read_one(store, "lisa") == b"mine"
                assert await store.delete([Name(other)]) == {}
                assert await read_one(store, "lisa") == b"mine"
        assert sql(mysql_server, "SELECT * FROM lisa", database=database) == [("lisa", "mine")]

    async def test_a_trailing_space_is_kept_and_never_overwritten(self, url: str) -> None:
        async with open_store(url, TEXT) as store:
            await write_one(store, "lisa ", b"with")
            refused = refusals(await store.write({Name("lisa"): Item(b"without")}))
            assert isinstance(refused[Name("lisa")], NameCollision)
            assert await read_one(store, "lisa ") == b"with"
            assert await all_names(store) == ["lisa "]

    async def test_two_writers_of_names_that_fold_never_mix(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        names = [Name("maggie"), Name("maggie ")]
        async with open_store(url, TEXT) as store:
            for _ in range(30):
                results = await asyncio.gather(
                    *(store.write({name: Item(name.encode())}) for name in names)
                )
                assert sorted(len(refusals(each)) for each in results) == [0, 1]
                rows = sql(mysql_server, "SELECT * FROM lisa", database=database)
                assert rows in [[("maggie", "maggie")], [("maggie ", "maggie ")]]
                await store.delete(names)

    async def test_two_names_of_a_batch_that_fold_never_mix(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        async with open_store(url, TEXT) as store:
            items = {Name(name): Item(name.encode()) for name in ("x", "lisa", "lisa ", "z")}
            refused = refusals(await store.write(items))
            assert list(refused) == ["lisa "]
            assert isinstance(refused[Name("lisa ")], NameCollision)
        rows = sql(mysql_server, "SELECT * FROM lisa", database=database)
        assert sorted(rows) == [("lisa", "lisa"), ("x", "x"), ("z", "z")]

    async def test_what_does_not_fit_is_refused_alone_and_never_cut(self, url: str) -> None:
        items = {
            Name("n" * 32): Item(b"c" * 1000),
            Name("n" * 33): Item(b"x"),
            Name("n" * 31 + "  "): Item(b"x"),
            Name("too-long"): Item(b"c" * 1001),
            Name("spaces"): Item(b"c" * 999 + b"  "),
            Name("last"): Item(b"x"),
        }
        async with open_store(url, TEXT) as store:
            refused = refusals(await store.write(items))
            assert set(refused) == set(items) - {"n" * 32, "last"}
            assert {type(error) for error in refused.values()} == {NotStorable}
            assert await store.read(list(refused)) == {}
            assert await all_names(store) == ["last", "n" * 32]

    async def test_characters_outside_the_character_set_are_refused_alone(self, url: str) -> None:
        items = {
            Name("🍩"): Item(b"name"),
            Name("content"): Item("🍩".encode()),
            Name("Лиза"): Item(b"cyrillic"),
            Name("plain"): Item(b"plain"),
        }
        async with open_store(url, TEXT) as store:
            refused = refusals(await store.write(items))
            assert {type(error) for error in refused.values()} <= {NotStorable}
            kept = set(items) - set(refused)
            assert "plain" in kept
            assert set(await all_names(store)) == kept
            found = await store.read(list(items))
            assert found == {name: items[name] for name in kept}
            assert await store.delete(list(items)) == {}
            assert await all_names(store) == []

    async def test_names_are_listed_in_byte_order_and_by_literal_prefix(self, url: str) -> None:
        names = ["a", "B", "a_c", "abc", "a%c", "é", "Z", "ab"]
        async with open_store(url, TEXT) as store:
            assert refusals(await store.write({Name(name): Item(b"x") for name in names})) == {}
            for page in (1, 3, 100):
                assert await all_names(store, page=page) == sorted(names, key=str.encode)
            assert await all_names(store, prefix="a_", page=1) == ["a_c"]
            assert await all_names(store, prefix="A") == []

    async def test_json_is_kept_verbatim(self, url: str) -> None:
        document = b'{ "z":1.0, "a":\\u0041 }'
        async with open_store(url, StoreOptions("lisa", Kind.JSON)) as store:
            await write_one(store, "lisa", document)
            assert await read_one(store, "lisa") == document

    async def test_preparing_never_alters_it(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        before = sql(mysql_server, "SHOW CREATE TABLE lisa", database=database)
        async with open_store(url, TEXT) as store:
            assert await store.prepare() == []
            assert any("compared by" in warning for warning in (await store.inspect()).warnings)
        assert sql(mysql_server, "SHOW CREATE TABLE lisa", database=database) == before

    async def test_bytes_are_refused_before_anything_is_written(self, url: str) -> None:
        async with open_store(url, StoreOptions("lisa", Kind.BYTES)) as store:
            with pytest.raises(Unsuitable, match="cannot hold bytes"):
                await store.ping()


class TestUnusualTables:
    """Layouts that other programs have, good and bad."""

    @pytest.mark.parametrize(
        ("columns", "sentence"),
        [
            ("name VARCHAR(9) PRIMARY KEY", "no column content"),
            ("id INT PRIMARY KEY, content TEXT", "no column name"),
            ("name VARCHAR(9), content TEXT", "no primary or unique key"),
            ("name VARCHAR(9), content TEXT, UNIQUE (name(4))", "no primary or unique key"),
            ("name VARCHAR(9), x INT, content TEXT, UNIQUE (name, x)", "no primary or unique key"),
            ("name VARCHAR(9) PRIMARY KEY, content TEXT, x INT NOT NULL", "column x"),
            ("name VARCHAR(9) PRIMARY KEY, content INT", "type int"),
            ("name BINARY(9) PRIMARY KEY, content TEXT", "type binary"),
            ("name VARCHAR(9) PRIMARY KEY, content TEXT CHARACTER SET sjis", "sjis"),
            ("name VARCHAR(9) PRIMARY KEY, content JSON", "takes JSON alone|type json"),
        ],
    )
    async def test_a_table_that_cannot_serve_says_why(
        self, mysql_server: MysqlServer, database: str, url: str, columns: str, sentence: str
    ) -> None:
        sql(mysql_server, f"CREATE TABLE lisa ({columns})", database=database)
        async with open_store(url, TEXT) as store:
            with pytest.raises(Misconfigured, match=sentence):
                await store.ping()
            with pytest.raises(Misconfigured, match=sentence):
                await store.prepare()

    async def test_an_absent_table_and_database_ask_for_init(self, url: str) -> None:
        async with open_store(url, TEXT) as store:
            with pytest.raises(Misconfigured, match="springfield init"):
                await store.read([Name("lisa")])
            assert len(await store.prepare()) == 2
            assert await store.prepare() == []
            await write_one(store, "lisa", b"sax")
        async with open_store(f"{url}?table=other", TEXT) as store:
            with pytest.raises(Misconfigured, match="springfield init"):
                await store.write({Name("lisa"): Item(b"x")})

    async def test_another_unique_key_never_brings_a_write_into_another_row(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        sql(
            mysql_server,
            "CREATE TABLE lisa (id INT AUTO_INCREMENT PRIMARY KEY, badge INT NOT NULL DEFAULT 7, "
            "name VARCHAR(32) NOT NULL, content TEXT, UNIQUE (badge), UNIQUE (name))",
            database=database,
        )
        rows = "INSERT INTO lisa (badge, name, content) VALUES (7, 'bart', 'b'), (8, 'lisa', 'l')"
        sql(mysql_server, rows, database=database)
        async with open_store(url, TEXT) as store:
            refused = refusals(
                await store.write({Name("lisa"): Item(b"new"), Name("LISA"): Item(b"x")})
            )
            assert list(refused) == ["LISA"]
            assert isinstance(refused[Name("LISA")], NameCollision)
        found = sql(mysql_server, "SELECT name, content FROM lisa ORDER BY id", database=database)
        assert found == [("bart", "b"), ("lisa", "new")]

    async def test_a_unique_content_refuses_the_second_one(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        talks_table(
            mysql_server, database, "utf8mb4_bin", "PRIMARY KEY (name), UNIQUE (content(100))"
        )
        async with open_store(url, TEXT) as store:
            await write_one(store, "lisa", b"sax")
            await write_one(store, "bart", b"board")
            refused = refusals(
                await store.write({Name("bart"): Item(b"sax"), Name("x"): Item(b"y")})
            )
            assert list(refused) == ["bart"]
            assert await read_one(store, "bart") == b"board"
            assert await read_one(store, "x") == b"y"

    async def test_a_char_column_drops_no_space_of_ours(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        columns = "name CHAR(9) PRIMARY KEY, content CHAR(9)"
        sql(mysql_server, f"CREATE TABLE lisa ({columns})", database=database)
        async with open_store(url, TEXT) as store:
            refused = refusals(await store.write({Name("a "): Item(b"x"), Name("b"): Item(b"x ")}))
            assert [type(error) for error in refused.values()] == [NotStorable, NotStorable]
            await write_one(store, "a", b" x")
            assert await store.read([Name("a ")]) == {}
            assert await read_one(store, "a") == b" x"

    async def test_rows_of_others_that_cannot_be_served_disturb_nothing(
        self, mysql_server: MysqlServer, url: str
    ) -> None:
        async with open_store(url, BYTES) as store:
            await store.prepare()
            table = f"{url.rpartition('/')[2]}.things"
            illegal = [b"", b"a\x00", b"\xff", b"m\nn"]
            for raw in illegal:
                sql(mysql_server, f"INSERT INTO {table} (name, content) VALUES (%s, 'x')", raw)
            await store.write({Name(name): Item(b"x") for name in "abcxyz"})
            assert await all_names(store, page=2) == list("abcxyz")
            sql(mysql_server, f"ALTER TABLE {table} MODIFY content LONGBLOB NULL")
            sql(mysql_server, f"UPDATE {table} SET content = NULL WHERE name = 'a'")
            found = await store.read([Name("a"), Name("b")])
            assert isinstance(found[Name("a")], Unreadable)
            assert found[Name("b")] == Item(b"x")

    async def test_a_table_altered_meanwhile_is_looked_at_again(
        self, mysql_server: MysqlServer, database: str, url: str
    ) -> None:
        talks_table(mysql_server, database, "utf8mb4_bin")
        async with open_store(url, TEXT) as store:
            await write_one(store, "lisa", b"sax")
            sql(mysql_server, "RENAME TABLE lisa TO lenny", database=database)
            with pytest.raises(Misconfigured, match="springfield init"):
                await store.read([Name("lisa")])
            columns = "name VARBINARY(99) PRIMARY KEY, content LONGBLOB"
            sql(mysql_server, f"CREATE TABLE lisa ({columns})", database=database)
            await write_one(store, "n" * 99, b"sax")
            assert await read_one(store, "n" * 99) == b"sax"

    async def test_awkward_identifiers_are_quoted(self, url: str) -> None:
        table = quote("li`sa; %s ? é", safe="")
        async with open_store(f"{url}?table={table}", TEXT) as store:
            await store.prepare()
            await write_one(store, "lisa", b"sax")
            assert await read_one(store, "lisa") == b"sax"


class TestLimitsOfTheServer:
    async def test_values_over_max_allowed_packet_are_refused_and_batches_split(
        self, own_mysql_server: MysqlServer
    ) -> None:
        sql(own_mysql_server, "SET GLOBAL max_allowed_packet = 1048576")
        async with open_store(own_mysql_server.url, BYTES) as store:
            await store.prepare()
            items = {Name(f"n{number}"): Item(bytes(300_000)) for number in range(9)}
            items[Name("big")] = Item(bytes(1_048_576))
            refused = refusals(await store.write(items))
            assert list(refused) == ["big"]
            assert isinstance(refused[Name("big")], NotStorable)
            assert len(await all_names(store)) == 9
            warnings = (await store.inspect()).warnings
            assert any("max_allowed_packet" in warning for warning in warnings)

    async def test_settings_that_lose_writes_are_warned_of(
        self, own_mysql_server: MysqlServer
    ) -> None:
        async with open_store(own_mysql_server.url, BYTES) as store:
            await store.prepare()
            inspection = await store.inspect()
            assert (inspection.product, inspection.warnings) == ("MariaDB", [])
            sql(own_mysql_server, "SET GLOBAL innodb_flush_log_at_trx_commit = 2")
            (warning,) = (await store.inspect()).warnings
            assert "innodb_flush_log_at_trx_commit is 2" in warning

    async def test_another_program_s_lock_is_waited_for_and_nothing_written(
        self, mysql_server: MysqlServer, url: str
    ) -> None:
        async with open_store(url, BYTES) as store:
            await store.prepare()
            await write_one(store, "lisa", b"old")
            with closing(connect(mysql_server, url.rpartition("/")[2])) as other:
                other.cursor().execute("SELECT * FROM things FOR UPDATE")
                with pytest.raises(Unavailable, match="lock"):
                    await store.write({Name("lisa"): Item(b"new")})
            assert await read_one(store, "lisa") == b"old"

    async def test_the_victim_of_a_deadlock_writes_again(
        self, mysql_server: MysqlServer, url: str
    ) -> None:
        waiting = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        async with open_store(url, BYTES) as store:
            await store.prepare()
            await store.write({Name(name): Item(b"old") for name in "ab"})
            with closing(connect(mysql_server, url.rpartition("/")[2])) as other:
                cursor = other.cursor()
                # The transaction that changed fewer rows is the victim: not this one.
                more = [(f"more-{number}",) for number in range(50)]
                cursor.executemany("INSERT INTO things (name, content) VALUES (%s, 'x')", more)
                cursor.execute("UPDATE things SET content = 'other' WHERE name = 'b'")
                write = asyncio.create_task(store.write({Name(n): Item(b"new") for n in "ab"}))
                for _ in range(200):
                    if await asyncio.to_thread(sql, mysql_server, waiting) != [(0,)]:
                        break
                cursor.execute("UPDATE things SET content = 'other' WHERE name = 'a'")
                other.commit()
            assert refusals(await write) == {}
            assert await read_one(store, "a") == await read_one(store, "b") == b"new"

    async def test_batches_in_any_order_never_fail_by_deadlock(self, url: str) -> None:
        chance = random.Random(3)
        async with open_store(url, BYTES) as store:
            await store.prepare()

            async def write_many() -> None:
                for _ in range(10):
                    names = chance.sample(range(30), 15)
                    items = {Name(f"n{number}"): Item(b"x") for number in names}
                    assert refusals(await store.write(items)) == {}
                    assert await store.delete([Name(f"n{number}") for number in names[:5]]) == {}

            await asyncio.gather(*(write_many() for _ in range(4)))
            assert len(await all_names(store)) > 0


class TestConnections:
    async def test_64_callers_share_8_connections(
        self, mysql_server: MysqlServer, url: str
    ) -> None:
        async with open_store(url, StoreOptions("things", Kind.BYTES, pool_size=8)) as store:
            await store.prepare()

            async def use(number: int) -> None:
                for turn in range(5):
                    await write_one(store, f"n{number}", b"%d" % turn)
                    assert await read_one(store, f"n{number}") == b"%d" % turn

            await asyncio.gather(*(use(number) for number in range(64)))
            database = url.rpartition("/")[2]
            count = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = %s"
            ((connections,),) = sql(mysql_server, count, database)
            assert connections == 8
            assert len(await all_names(store)) == 64

    async def test_a_restart_between_two_calls_is_not_noticed(
        self, own_mysql_server: MysqlServer
    ) -> None:
        async with open_store(own_mysql_server.url, BYTES) as store:
            await store.prepare()
            for end in (own_mysql_server.stop, own_mysql_server.kill):
                names = [f"n{number}" for number in range(8)]
                await asyncio.gather(*(write_one(store, name, b"before") for name in names))
                # Both block the event loop, so it cannot have seen the connections close.
                end()
                own_mysql_server.start()
                for name in names:
                    await write_one(store, name, b"after")
                    assert await read_one(store, name) == b"after"

    async def test_kill_9_loses_no_acknowledged_write_and_the_store_recovers(
        self, own_mysql_server: MysqlServer
    ) -> None:
        acknowledged: list[str] = []
        enough = asyncio.Event()
        async with open_store(own_mysql_server.url, BYTES) as store:
            await store.prepare()

            async def write_until_it_fails(writer: int) -> None:
                for number in range(100_000):
                    name = f"{writer}-{number}"
                    try:
                        await write_one(store, name, name.encode())
                    except (OutcomeUnknown, Unavailable):
                        return
                    acknowledged.append(name)
                    if len(acknowledged) == 200:
                        enough.set()

            writers = [asyncio.create_task(write_until_it_fails(writer)) for writer in range(4)]
            await asyncio.wait_for(enough.wait(), 30)
            await asyncio.to_thread(own_mysql_server.kill)
            await asyncio.gather(*writers)
            with pytest.raises(Unavailable):
                await store.read([Name("x")])
            own_mysql_server.start()
            assert set(acknowledged) <= set(await all_names(store))

    async def test_a_server_that_falls_silent_costs_one_deadline(
        self, own_mysql_server: MysqlServer
    ) -> None:
        options = StoreOptions("things", Kind.BYTES, timeout=0.5, pool_size=1)
        loop = asyncio.get_running_loop()
        async with open_store(own_mysql_server.url, options) as store:
            await store.prepare()
            await write_one(store, "lisa", b"sax")
            own_mysql_server.pause()
            try:
                started = loop.time()
                with pytest.raises(OutcomeUnknown) as written:
                    await store.write({Name("lisa"): Item(b"new")})
                with pytest.raises(Unavailable) as read:
                    await store.read([Name("lisa")])
                with pytest.raises(Unavailable) as unsent:
                    await store.write({Name("lisa"): Item(b"newer")})
                assert loop.time() - started < 2.5
            finally:
                own_mysql_server.resume()
            assert [written.value.slow, read.value.slow, unsent.value.slow] == [True, True, True]
            assert await read_one(store, "lisa") in (b"sax", b"new")

    async def test_a_wrong_password_is_misconfigured_and_not_shown(
        self, mysql_server: MysqlServer
    ) -> None:
        url = f"mysql://{mysql_server.user}:d%C3%B6nut@{mysql_server.host}:{mysql_server.port}/x"
        async with open_store(url, BYTES) as store:
            for call in (store.ping, store.prepare):
                with pytest.raises(Misconfigured, match="1045") as refusal:
                    await call()
                assert "nut" not in str(refusal.value)

    async def test_any_password_and_few_rights_are_enough(
        self, mysql_server: MysqlServer, url: str
    ) -> None:
        async with open_store(url, BYTES) as store:
            await store.prepare()
        user, password = "milhouse", "dönut/@:?#%🍩"
        database = url.rpartition("/")[2]
        sql(mysql_server, f"CREATE OR REPLACE USER {user} IDENTIFIED BY %s", password)
        sql(mysql_server, f"GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.things TO {user}")
        place = f"{mysql_server.host}:{mysql_server.port}/{database}"
        async with open_store(f"mysql://{user}:{quote(password, safe='')}@{place}", BYTES) as store:
            await store.prepare()
            await write_one(store, "lisa", b"sax")
            assert await read_one(store, "lisa") == b"sax"
            sql(mysql_server, f"REVOKE INSERT ON {database}.things FROM {user}")
            with pytest.raises(Misconfigured, match="grant"):
                await store.write({Name("lisa"): Item(b"x")})

    async def test_tls_checks_the_certificate(
        self, own_mysql_server: MysqlServer, certificate: Path, stranger: Path
    ) -> None:
        sql(own_mysql_server, "CREATE USER lenny IDENTIFIED BY 'x' REQUIRE SSL")
        sql(own_mysql_server, "GRANT ALL ON *.* TO lenny")
        place = f"{own_mysql_server.host}:{own_mysql_server.port}/simpson"
        trusting = f"mysql://lenny:x@{place}?ssl-ca={certificate}"
        async with open_store(trusting, BYTES) as store:
            with pytest.raises(Misconfigured, match="ssl-ca"):
                await store.prepare()
        own_mysql_server.stop()
        own_mysql_server.process._argv += [
            f"--ssl-cert={certificate}",
            f"--ssl-key={certificate}.key",
        ]
        own_mysql_server.start()
        async with open_store(trusting, BYTES) as store:
            await store.prepare()
            await write_one(store, "lisa", ALL_BYTES * 1000)
            assert await read_one(store, "lisa") == ALL_BYTES * 1000
        async with open_store(f"mysql://lenny:x@{place}", BYTES) as store:
            with pytest.raises(Misconfigured, match="1045"):
                await store.ping()
        async with open_store(f"mysql://lenny:x@{place}?ssl-ca={stranger}", BYTES) as store:
            with pytest.raises(Misconfigured, match="ssl-ca"):
                await store.ping()


class TestUrl:
    @pytest.mark.parametrize(
        ("url", "sentence"),
        [
            ("mysql://lisa@/simpson", "names no host"),
            ("mysql://localhost/simpson", "names no user"),
            ("mysql://lisa:secret@localhost", "names no database"),
            ("mysql://lisa:secret@localhost:port/simpson", "port is not a number"),
            ("mysql://lisa:secret@localhost/simpson?tabel=x", "'tabel'"),
            ("mysql://lisa:secret@localhost/simpson?ssl-ca=/nowhere.pem", "ssl-ca"),
        ],
    )
    async def test_a_url_that_cannot_be_right_says_why(self, url: str, sentence: str) -> None:
        with pytest.raises(Misconfigured, match=sentence) as refusal:
            async with open_store(url, BYTES):
                pass
        assert "secret" not in str(refusal.value)

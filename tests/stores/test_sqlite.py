"""SQLite keeps the contract of the stores, and what holds for the embedded default alone."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from springfield.errors import Misconfigured, Unavailable, Unreadable
from springfield.model import Item, Kind, Name
from springfield.stores.sqlite import lane
from springfield.stores.sqlite.adapter import open_store
from springfield.stores.sqlite.connection import open_for_writing
from springfield.stores.store import StoreOptions
from tests.stores.contract import StoreContract
from tests.stores.place import Place, read_item, read_one, refusals, write_one

OPTIONS = StoreOptions("things", Kind.TEXT)


class TestSQLite(StoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        (tmp_path / "a-file").touch()
        locker = apsw.Connection(str(tmp_path / "locked.db"))
        locker.execute("BEGIN EXCLUSIVE")
        yield Place(
            open_store,
            has_pool=False,
            url=f"sqlite://{tmp_path}/data/springfield.db",
            down_url=f"sqlite://{tmp_path}/a-file/springfield.db",
            silent_url=f"sqlite://{tmp_path}/locked.db",
            timeout=1.0,
        )
        locker.close()


async def test_two_resources_share_one_file_without_mixing(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/springfield.db"
    homers, lisas = (StoreOptions(name, Kind.TEXT) for name in ("homers", "lisas"))
    async with open_store(url, homers) as one, open_store(url, lisas) as other:
        await asyncio.gather(*(write_one(one, f"n{n}", b"homer") for n in range(50)))
        await asyncio.gather(*(write_one(other, f"n{n}", b"lisa") for n in range(50)))
        assert await read_one(one, "n7") == b"homer"
        assert await read_one(other, "n7") == b"lisa"


async def test_a_full_disk_refuses_what_does_not_fit_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = 100

    def opened(path: Path) -> apsw.Connection:
        connection = open_for_writing(path)
        # What a full disk is to SQLite.
        connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        return connection

    monkeypatch.setattr(lane, "open_for_writing", opened)
    items = {Name(f"n{n}"): Item(b"x" * 30_000) for n in range(30)}
    names = list(items)
    async with open_store(f"sqlite://{tmp_path}/small.db", OPTIONS) as store:
        few = {name: items[name] for name in names[:4]}
        assert not refusals(await store.write(few))
        told = await asyncio.gather(
            *(store.write({name: items[name]}) for name in names), return_exceptions=True
        )
        refused = {
            name for name, each in zip(names, told, strict=True) if isinstance(each, Unavailable)
        }
        assert refused
        assert all(isinstance(each, dict | Unavailable) for each in told)
        assert set(await store.read(names)) == set(names) - refused | set(few)
        with pytest.raises(Unavailable, match="full"):  # after which the file is opened anew
            await store.write(items)
        pages = 10_000
        assert not refusals(await store.write(items))
        assert set(await store.read(names)) == set(names)


async def test_text_is_kept_as_text_and_bytes_as_a_blob(tmp_path: Path) -> None:
    path = tmp_path / "springfield.db"
    async with open_store(f"sqlite://{path}", OPTIONS) as store:
        await write_one(store, "lisa", "é".encode())
    async with open_store(f"sqlite://{path}?table=raw", StoreOptions("b", Kind.BYTES)) as store:
        await write_one(store, "marge", b"\xff")
    shell = apsw.Connection(str(path))
    assert list(shell.execute("SELECT name, content FROM things")) == [("lisa", "é")]
    assert list(shell.execute("SELECT name, content FROM raw")) == [("marge", b"\xff")]
    shell.close()


async def test_rows_of_another_program_are_served_and_illegal_names_are_skipped(
    tmp_path: Path,
) -> None:
    path = tmp_path / "springfield.db"
    async with open_store(f"sqlite://{path}", OPTIONS) as store:
        await store.prepare()
        shell = apsw.Connection(str(path))
        shell.executemany(
            "INSERT INTO things (name, content) VALUES (CAST(? AS TEXT), ?)",
            [(b"lisa", "sax"), (b"bad\n", "x"), (b"\xff", "x"), (b"n" * 513, "x"), (b"int", 5)],
        )
        shell.close()
        assert await store.names("", None, 10) == ["int", "lisa"]
        assert await read_one(store, "lisa") == b"sax"
        assert await read_one(store, "int") == b"5"


async def test_a_table_that_could_mix_names_up_is_refused(tmp_path: Path) -> None:
    shell = apsw.Connection(str(tmp_path / "springfield.db"))
    shell.execute("CREATE TABLE things (name TEXT PRIMARY KEY COLLATE NOCASE, content, expires_at)")
    shell.execute("CREATE TABLE short (name TEXT PRIMARY KEY, content)")
    shell.close()
    url = f"sqlite://{tmp_path}/springfield.db"
    async with open_store(url, OPTIONS) as store:
        with pytest.raises(Misconfigured, match="collation BINARY"):
            await store.ping()
    async with open_store(f"{url}?table=short", OPTIONS) as store:
        with pytest.raises(Misconfigured, match="lacks the column expires_at"):
            await store.ping()


async def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "springfield.db"
    path.write_bytes(b"not a database, but somebody's diary " * 100)
    async with open_store(f"sqlite://{path}", OPTIONS) as store:
        with pytest.raises(Misconfigured, match="not a sound SQLite database"):
            await store.ping()
    assert path.read_bytes() == b"not a database, but somebody's diary " * 100


async def test_every_commit_is_synced(tmp_path: Path) -> None:
    async with open_store(f"sqlite://{tmp_path}/springfield.db", OPTIONS) as store:
        await store.ping()

        def durability(file: apsw.Connection) -> tuple[object, object]:
            return file.pragma("journal_mode"), file.pragma("synchronous")

        assert await store._database.write(durability, 1) == ("wal", 2)


async def test_a_row_without_content_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "springfield.db"
    shell = apsw.Connection(str(path))
    shell.execute("CREATE TABLE things (name TEXT PRIMARY KEY, content, expires_at)")
    shell.execute("INSERT INTO things (name) VALUES ('lisa'), ('bart')")
    shell.close()
    async with open_store(f"sqlite://{path}", OPTIONS) as store:
        assert isinstance((await store.read([Name("lisa")]))[Name("lisa")], Unreadable)
        assert refusals(await store.write({Name("lisa"): Item(b"sax")})) == {}
        assert await read_one(store, "lisa") == b"sax"


@pytest.mark.parametrize(
    ("value", "end"),
    [
        (2**62, 2**62 / 1000),
        (2**63 - 1, (2**63 - 1) / 1000),
        (1e300, 1e297),
        ("soon", None),
        ("", None),
        (b"\xff", None),
    ],
)
async def test_any_end_that_another_program_wrote_is_read_and_can_be_written_back(
    tmp_path: Path, value: object, end: float | None
) -> None:
    path = tmp_path / "springfield.db"
    async with open_store(f"sqlite://{path}", OPTIONS) as store:
        await write_one(store, "homer", b"doh")
        shell = apsw.Connection(str(path))
        shell.execute("UPDATE things SET expires_at = ?", (value,))
        shell.close()
        read = await read_item(store, "homer")
        assert read.expires_at == end
        assert await store.swap(Name("homer"), read, Item(b"2", expires_at=read.expires_at))
        assert await store.sweep() == 0
        assert await read_one(store, "homer") == b"2"

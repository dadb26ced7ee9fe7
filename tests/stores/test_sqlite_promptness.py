"""Small reads of SQLite run on the loop's thread, and leave it when they would hold it up."""

import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from springfield.model import Kind, Name
from springfield.stores.sqlite import promptness
from springfield.stores.sqlite.adapter import SQLite, open_store
from springfield.stores.sqlite.table import SMALL
from springfield.stores.store import StoreOptions
from tests.stores.place import read_one, write_one


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLite]:
    options = StoreOptions("things", Kind.BYTES)
    async with open_store(f"sqlite://{tmp_path}/a.db", options) as opened:
        await opened.ping()
        await opened.ping()  # the first one opened the loop's connection
        assert opened.read_at_once([Name("a")]) is not None
        yield opened


async def threads_of_reads(store: SQLite, name: str) -> list[bool]:
    """Read the name; return for each statement whether it ran on the loop's thread."""
    seen: list[bool] = []
    loop = threading.get_ident()

    def trace(*_: object) -> bool:
        seen.append(threading.get_ident() == loop)
        return True

    def watch(file: apsw.Connection) -> None:
        file.exec_trace = trace

    store._database.prompt.read(watch)
    await store._database.read(watch, 5)
    seen.clear()
    await read_one(store, name)
    return seen


async def test_a_small_value_is_read_on_the_loop_as_soon_as_it_is_written(store: SQLite) -> None:
    for turn in range(20):
        await write_one(store, "lisa", b"%d" % turn)
        assert await read_one(store, "lisa") == b"%d" % turn
    assert await threads_of_reads(store, "lisa") == [True]


async def test_a_large_value_is_read_in_the_thread_and_only_its_length_on_the_loop(
    store: SQLite,
) -> None:
    content = b"x" * (SMALL + 1)
    await write_one(store, "large", content)
    assert await threads_of_reads(store, "large") == [True, False]
    assert await read_one(store, "large") == content


async def test_slow_reads_leave_the_loop_and_come_back_when_the_disk_is_quick(
    store: SQLite, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_one(store, "lisa", b"sax")
    store._database.prompt.read(lambda _: time.sleep(2 * promptness.ALLOWANCE))
    assert store.read_at_once([Name("a")]) is None
    assert await threads_of_reads(store, "lisa") == [False]
    assert store.read_at_once([Name("a")]) is None, "it is too early"
    monkeypatch.setattr(promptness, "PAUSE", 0.0)
    store._database.prompt._lose(2 * promptness.ALLOWANCE)
    store._database.prompt.probed(0.0)
    assert store.read_at_once([Name("a")]) is not None
    assert await threads_of_reads(store, "lisa") == [True]


async def test_a_statement_that_runs_on_is_taken_off_the_loop(store: SQLite) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    assert store._database.prompt.read(lambda file: file.execute(endless).fetchall()) is None
    await write_one(store, "lisa", b"sax")
    assert await read_one(store, "lisa") == b"sax"


async def test_a_commit_that_hangs_sends_reads_to_the_thread(store: SQLite) -> None:
    store._database._writes.committing_since = time.monotonic() - 2 * promptness.SLOW_COMMIT
    assert store.read_at_once([Name("a")]) is None
    store._database._writes.committing_since = None
    assert store.read_at_once([Name("a")]) is not None

"""What waits for a SQLite file shares a transaction, and fails alone."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import apsw
import pytest

from springfield.errors import NotStorable, SpringfieldError, Unavailable
from springfield.stores.sqlite.database import Database, open_database

Work = Callable[[apsw.Connection], object]

SECONDS = 10.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What the first work waits for, while others gather behind it."""
    event = threading.Event()
    yield event
    event.set()


async def begin(database: Database, gate: threading.Event) -> "asyncio.Task[bool]":
    """Make a table, then hold the writer up until the gate opens."""
    await database.write(lambda file: file.execute("CREATE TABLE t (n PRIMARY KEY)"), SECONDS)
    begun = threading.Event()

    def hold(_: apsw.Connection) -> bool:
        begun.set()
        return gate.wait(SECONDS)

    task = asyncio.create_task(database.write(hold, SECONDS))
    assert await asyncio.to_thread(begun.wait, SECONDS)
    return task


async def behind(database: Database, gate: threading.Event, works: Sequence[Work]) -> list[object]:
    """Hand all works over while the writer is held up; return what became of them."""
    first = await begin(database, gate)
    tasks = [asyncio.create_task(database.write(work, SECONDS)) for work in works]
    await asyncio.sleep(0)  # each has put its work into the line
    gate.set()
    assert await first
    return list(await asyncio.gather(*tasks, return_exceptions=True))


def insert(number: int) -> Work:
    """Return work that inserts a row."""
    return lambda file: file.execute("INSERT INTO t VALUES (?)", (number,)).fetchall()


async def rows(database: Database) -> list[int]:
    """Return what is there, read in the thread."""
    found = await database.read(lambda file: file.execute("SELECT n FROM t").fetchall(), SECONDS)
    return sorted(int(str(row[0])) for row in found)


async def test_what_waits_shares_one_commit(tmp_path: Path, gate: threading.Event) -> None:
    commits: list[float] = []

    def committed() -> bool:
        commits.append(time.monotonic())
        return False

    def count(file: apsw.Connection) -> None:
        file.set_commit_hook(committed)

    async with open_database(tmp_path / "a.db") as database:
        await database.write(count, SECONDS)
        commits.clear()
        await behind(database, gate, [insert(n) for n in range(100)])
        assert await rows(database) == list(range(100))
    assert len(commits) == 2, "one to make the table, one for the hundred and who held them up"


async def test_work_that_fails_is_undone_alone(tmp_path: Path, gate: threading.Event) -> None:
    def fail(file: apsw.Connection) -> None:
        file.execute("INSERT INTO t VALUES (1000)")
        raise NotStorable("no")

    async with open_database(tmp_path / "a.db") as database:
        one, refused, twice, other = await behind(
            database, gate, [insert(1), fail, insert(1), insert(2)]
        )
        assert (one, other) == ([], [])
        assert isinstance(refused, NotStorable)
        assert isinstance(twice, SpringfieldError)
        assert await rows(database) == [1, 2]


@pytest.mark.parametrize("is_denied", [True, False])
async def test_a_transaction_that_breaks_fails_as_a_whole_and_the_next_one_goes_on(
    tmp_path: Path, gate: threading.Event, is_denied: bool
) -> None:
    def harm(file: apsw.Connection) -> None:
        if is_denied:  # the next savepoint, or the release of this one, fails
            file.authorizer = lambda action, *_: (
                apsw.SQLITE_DENY if action == apsw.SQLITE_SAVEPOINT else apsw.SQLITE_OK
            )
        else:
            file.execute("ROLLBACK")

    async with open_database(tmp_path / "a.db") as database:
        first = await begin(database, gate)
        tasks = [
            asyncio.create_task(database.write(work, SECONDS))
            for work in (insert(1), harm, insert(2))
        ]
        await asyncio.sleep(0)
        gate.set()
        outcomes = await asyncio.gather(first, *tasks, return_exceptions=True)
        assert [isinstance(each, Unavailable) for each in outcomes[:3]] == [True] * 3
        await database.write(insert(3), SECONDS)
        written = await rows(database)
        assert 1 not in written
        assert written == ([3] if isinstance(outcomes[3], Unavailable) else [2, 3])

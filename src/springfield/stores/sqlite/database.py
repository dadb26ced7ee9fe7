"""In charge of one SQLite file within this process: its two threads and their connections.

Writes go through one thread, so that resources which share a file never fight for its write lock;
reads through another, which WAL lets run beside a write.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import apsw

from springfield.errors import Misconfigured, OutcomeUnknown, Unavailable

T = TypeVar("T")
Work = Callable[[apsw.Connection], T]

_QUEUE_LIMIT = 256
"""Calls that may be under way at once per thread; the others wait, under their own deadline."""


class Lane:
    """One thread with one connection, opened when it is first needed and after each failure."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: apsw.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._places = asyncio.Semaphore(_QUEUE_LIMIT)

    async def run(self, work: Work[T], timeout: float) -> T:
        """Run `work` in the thread. A call that is cancelled or late goes on in the thread.

        Raises TimeoutError after `timeout` seconds, and StoreError for what SQLite says.
        """
        async with asyncio.timeout(timeout), self._places:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._run, work, timeout)

    def close(self) -> None:
        """Finish the work that was handed over, then close the connection. Blocks."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=True)

    def _run(self, work: Work[T], timeout: float) -> T:
        try:
            if self._connection is None:
                self._connection = _connect(self._path)
            # Shorter than the caller's deadline, so that a locked file is known to be the cause.
            self._connection.set_busy_timeout(int(timeout * 800))
            return work(self._connection)
        except (apsw.NotADBError, apsw.CorruptError) as error:
            self._close()
            raise Misconfigured(
                f"{self._path} is not a sound SQLite database ({error}); restore it from a backup "
                "or move it away."
            ) from error
        except (apsw.BusyError, apsw.LockedError) as error:
            raise Unavailable(
                f"{self._path} stayed locked by another process for {timeout:g} s; "
                "nothing was written.",
                slow=True,
            ) from error
        except apsw.Error as error:
            self._close()
            raise Unavailable(
                f"SQLite cannot use {self._path} ({error}); check the disk, the path and its "
                "permissions."
            ) from error
        except OSError as error:
            raise Unavailable(f"The directory of {self._path} cannot be made ({error}).") from error

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Database:
    """A file with a lane for reads and one for writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users = 0
        self._reads = Lane(path)
        self._writes = Lane(path)

    async def read(self, work: Work[T], timeout: float) -> T:
        """Run `work`, which only reads."""
        try:
            return await self._reads.run(work, timeout)
        except TimeoutError as error:
            raise Unavailable(self._late(timeout), slow=True) from error

    async def write(self, work: Work[T], timeout: float) -> T:
        """Run `work` in one durable transaction; all of it is there, or nothing."""
        try:
            return await self._writes.run(lambda connection: _commit(connection, work), timeout)
        except TimeoutError as error:
            raise OutcomeUnknown(self._late(timeout), slow=True) from error

    async def close(self) -> None:
        """Finish what was handed over and close both connections."""
        for lane in (self._reads, self._writes):
            await asyncio.to_thread(lane.close)

    def _late(self, timeout: float) -> str:
        return f"{self.path} did not answer within {timeout:g} s; the disk may be overloaded."


_open: dict[Path, Database] = {}


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open the file once per process, whoever asks for it; the last one out closes it."""
    database = _shared(path)
    database.users += 1
    try:
        yield database
    finally:
        database.users -= 1
        if not database.users:
            del _open[database.path]
            await database.close()


def _shared(path: Path) -> Database:
    path = path.absolute()
    if path not in _open:
        _open[path] = Database(path)
    return _open[path]


def _connect(path: Path) -> apsw.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = apsw.Connection(str(path), statementcachesize=64)
    connection.set_busy_timeout(1000)
    # FULL: a commit returns when the write-ahead log is on the disk (fsync).
    # No mmap: an I/O error would be a signal that kills the process.
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def _commit(connection: apsw.Connection, work: Work[T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result

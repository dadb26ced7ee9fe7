"""In charge of one SQLite file within this process: its connections, and which of them does what.

Writes go through one thread, so that resources which share a file never fight for its write lock, and
share commits; long reads through another, which WAL lets run beside a write; short ones need no thread.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import TypeVar

import apsw

from springfield.errors import OutcomeUnknown, Unavailable
from springfield.stores.sqlite.commits import WriteLane
from springfield.stores.sqlite.lane import CallLate, ReadLane, Work
from springfield.stores.sqlite.promptness import PromptReads

T = TypeVar("T")


class Database:
    """A file with a lane for reads, one for writes, and the loop's own connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users = 0
        self._reads = ReadLane(path)
        self._writes = WriteLane(path)
        self.prompt = PromptReads(path, lambda: self._writes.committing_since)
        """Reads on the loop's thread."""

    async def read(self, work: Work[T], timeout: float) -> T:
        """Run `work`, which only reads, in a thread."""
        try:
            return await self._reads.run(work, timeout)
        except CallLate as error:
            raise Unavailable(self._late(timeout), slow=True) from error

    async def look_up(self, work: Work[T], count: int, timeout: float) -> T:
        """Run `work`, which reads `count` names, in a thread, and see how quick that is."""

        def timed(connection: apsw.Connection) -> T:
            began = monotonic()
            try:
                return work(connection)
            finally:
                self.prompt.probed((monotonic() - began) / max(1, count))

        return await self.read(timed, timeout)

    async def write(self, work: Work[T], timeout: float) -> T:
        """Run `work` in a durable transaction; all of it is there, or nothing."""
        try:
            return await self._writes.run(work, timeout)
        except CallLate as error:
            if error.is_begun:
                raise OutcomeUnknown(self._late(timeout), slow=True) from error
            raise Unavailable(f"{self._late(timeout)} Nothing was written.", slow=True) from error

    async def close(self) -> None:
        """Finish what was handed over and close all connections; the last one tidies the log up."""
        for part in (self._reads, self.prompt, self._writes):
            await asyncio.to_thread(part.close)

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

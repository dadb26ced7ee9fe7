"""In charge of keeping items in a SQLite file: the embedded default.

What is asked is in `table.py`; here is where it runs: a read of a few names on the event loop's thread,
everything else in a thread (`database.py`).
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import apsw

from springfield.errors import Misconfigured, OutcomeUnknown, SpringfieldError, Unavailable
from springfield.model import Item, Kind, Name
from springfield.stores.sqlite.database import Database, open_database
from springfield.stores.sqlite.table import Table
from springfield.stores.store import Inspection, Outcome, StoreOptions, Swapped
from springfield.stores.url import path_of, redact, refuse_unknown_parameters, take_parameters

FEW = 8
"""Names that are read on the loop's thread in one call, at most."""


@asynccontextmanager
async def open_store(url: str, options: StoreOptions) -> AsyncIterator["SQLite"]:
    """Open `sqlite:PATH` or `sqlite:///ABSOLUTE/PATH`, with `?table=` (default: the resource)."""
    refuse_unknown_parameters(url, {"table"})
    address, parameters = take_parameters(url, {"table"})
    path = path_of(address)
    if not path or path.endswith("/"):
        raise Misconfigured(
            f"The store URL {redact(url)} names no file; write sqlite:///path/to/file.db."
        )
    table = Table(
        parameters.get("table") or options.resource, as_text=options.kind is not Kind.BYTES
    )
    async with open_database(Path(path)) as database:
        yield SQLite(database, table, options.timeout)


class SQLite:
    """A table of a SQLite file as a store."""

    verbatim = True

    def __init__(self, database: Database, table: Table, timeout: float) -> None:
        self._database = database
        self._table = table
        self._timeout = timeout
        self._is_ready = False

    def read_at_once(
        self, names: Collection[Name]
    ) -> Mapping[Name, Item | SpringfieldError] | None:
        """See Prompt: a few names and small values cost no thread and no turn of the loop."""
        prompt = self._database.prompt
        if len(names) > FEW or not self._is_ready or not prompt.is_ready:
            return None
        return prompt.read(lambda file: self._table.read_small(file, names))

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        """See Store. At once, if that can be."""
        found = self.read_at_once(names)
        return await self._look_up(names) if found is None else found

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, Outcome]:
        """See Store. Shares its transaction and its fsync with what comes at the same time."""
        await self._ready()
        return await self._database.write(
            lambda file: self._table.write(file, items), self._timeout
        )

    async def swap(self, name: Name, expected: Item | None, new: Item | None) -> Swapped | None:
        """See Store. As a write: SQLite has a single writer at a time."""
        await self._ready()
        return await self._database.write(
            lambda file: self._table.swap(file, name, expected, new), self._timeout
        )

    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        """See Store. As a write."""
        await self._ready()
        await self._database.write(lambda file: self._table.delete(file, names), self._timeout)
        return {}

    async def sweep(self) -> int:
        """See Expiring. As a write."""
        await self._ready()
        return await self._database.write(self._table.sweep, self._timeout)

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """See Store. A range of the primary key."""
        await self._ready()
        return await self._database.read(
            lambda file: self._table.names(file, prefix, after or "", limit), self._timeout
        )

    async def ping(self) -> None:
        """See Store. Reads the table, in the thread: the disk may be slow."""
        await self._look_up([Name("ping")])

    async def inspect(self) -> Inspection:
        """See Upkeep."""
        await self.ping()
        return Inspection("SQLite", apsw.sqlite_lib_version())

    async def prepare(self, *, with_ttl: bool = False) -> Sequence[str]:
        """See Upkeep. Nothing is left to do: the table is made when it is first needed."""
        del with_ttl  # its tables have the column
        await self._ready()
        return ()

    async def _look_up(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        await self._ready()
        return await self._database.look_up(
            lambda file: self._table.read(file, names), len(names), self._timeout
        )

    async def _ready(self) -> None:
        if self._is_ready:
            return
        try:
            await self._database.write(self._table.make, self._timeout)
        except OutcomeUnknown as error:  # of making the table: no item was written
            raise Unavailable(str(error), slow=True) from error
        self._is_ready = True

"""In charge of keeping items in a SQLite file: the embedded default.

Layout: a table a resource, `name TEXT PRIMARY KEY, content`; text and JSON are TEXT, bytes a BLOB.
The table is created when it is first needed.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import apsw

from springfield.errors import (
    Misconfigured,
    NotStorable,
    OutcomeUnknown,
    SpringfieldError,
    Unavailable,
    Unreadable,
    Unsuitable,
)
from springfield.model import Item, Kind, Name, is_legal_name
from springfield.stores.sqlite.database import Database, open_database
from springfield.stores.store import Inspection, StoreOptions
from springfield.stores.url import path_of, redact, refuse_unknown_parameters, take_parameters


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
    async with open_database(Path(path)) as database:
        yield SQLite(database, parameters.get("table") or options.resource, options)


class SQLite:
    """A table of a SQLite file as a store."""

    def __init__(self, database: Database, table: str, options: StoreOptions) -> None:
        self._database = database
        self._timeout = options.timeout
        self._as_text = options.kind is not Kind.BYTES
        self._table = table
        self._is_ready = False
        quoted = '"' + table.replace('"', '""') + '"'
        self._create = (
            f"CREATE TABLE IF NOT EXISTS {quoted} "
            "(name TEXT NOT NULL PRIMARY KEY, content BLOB NOT NULL, expires_at INTEGER)"
        )
        # The cast gives the bytes as they are: another program's text may not even be UTF-8.
        self._select = f"SELECT CAST(content AS BLOB) FROM {quoted} WHERE name = ?"
        self._upsert = (
            f"INSERT INTO {quoted} (name, content) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET content = excluded.content, expires_at = NULL"
        )
        self._delete = f"DELETE FROM {quoted} WHERE name = ?"
        self._list = (
            f"SELECT CAST(name AS BLOB) FROM {quoted} "
            "WHERE name > ? AND name >= ? AND typeof(name) = 'text' ORDER BY name"
        )

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        """See Store. Costs one look-up a name and no round trip."""
        await self._ready()
        return await self._database.read(lambda file: self._read(file, names), self._timeout)

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, SpringfieldError]:
        """See Store. One transaction, one fsync."""
        await self._ready()
        return await self._database.write(lambda file: self._write(file, items), self._timeout)

    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        """See Store. One transaction, one fsync."""
        await self._ready()
        keys = [(name,) for name in names]
        await self._database.write(lambda file: file.executemany(self._delete, keys), self._timeout)
        return {}

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """See Store. A range of the primary key."""
        await self._ready()
        return await self._database.read(
            lambda file: self._names(file, prefix, after or "", limit), self._timeout
        )

    async def ping(self) -> None:
        """See Store. Reads the table."""
        await self.read([Name("ping")])

    async def inspect(self) -> Inspection:
        """See Upkeep."""
        await self.ping()
        return Inspection("SQLite", apsw.sqlite_lib_version())

    async def prepare(self) -> Sequence[str]:
        """See Upkeep. Nothing is left to do: the table is made when it is first needed."""
        await self._ready()
        return ()

    async def _ready(self) -> None:
        if self._is_ready:
            return
        try:
            await self._database.write(self._make_table, self._timeout)
        except OutcomeUnknown as error:  # of making the table: no item was written
            raise Unavailable(str(error), slow=True) from error
        self._is_ready = True

    def _make_table(self, file: apsw.Connection) -> None:
        file.execute(self._create)
        columns = {
            row[1] for row in file.execute("SELECT * FROM pragma_table_info(?)", (self._table,))
        }
        lacking = {"name", "content", "expires_at"} - columns
        if lacking:
            raise Unsuitable(
                f"The table {self._table} in {self._database.path} lacks the column "
                f"{min(lacking)}; name another table with ?table=."
            )
        _, collation, _, is_key, _ = file.column_metadata("main", self._table, "name")
        if collation != "BINARY" or not is_key:
            raise Unsuitable(
                f"The column name of {self._table} in {self._database.path} is not a primary key "
                "with the collation BINARY, so names could collide; name another table with ?table=."
            )

    def _read(
        self, file: apsw.Connection, names: Collection[Name]
    ) -> dict[Name, Item | SpringfieldError]:
        found: dict[Name, Item | SpringfieldError] = {}
        for name in names:
            for (value,) in file.execute(self._select, (name,)):
                found[name] = (
                    Item(value)
                    if isinstance(value, bytes)
                    else Unreadable(f"The row of {name} in the table {self._table} has no content.")
                )
        return found

    def _write(
        self, file: apsw.Connection, items: Mapping[Name, Item]
    ) -> dict[Name, SpringfieldError]:
        refused: dict[Name, SpringfieldError] = {}
        for name, item in items.items():
            value = item.content.decode() if self._as_text else item.content
            try:
                file.execute(self._upsert, (name, value))
            except apsw.TooBigError:
                refused[name] = NotStorable("SQLite holds values up to 1 GB; send less.")
        return refused

    def _names(self, file: apsw.Connection, prefix: str, after: str, limit: int) -> list[Name]:
        names: list[Name] = []
        for (raw,) in file.execute(self._list, (after, prefix)):
            name = raw.decode(errors="replace")
            if not name.startswith(prefix) or len(names) == limit:
                break
            if is_legal_name(name) and name.encode() == raw:
                names.append(Name(name))
        return names

"""In charge of keeping items in a SQLite file: the embedded default.

Layout: a table a resource, `name TEXT PRIMARY KEY, content`; text and JSON are TEXT, bytes a BLOB.
The table is created when it is first needed.
"""

import time
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
from springfield.stores.store import Inspection, Outcome, StoreOptions, Swapped
from springfield.stores.url import path_of, redact, refuse_unknown_parameters, take_parameters

_SWEPT_AT_ONCE = 500

# SQLite's clock is the machine's; strftime('%s') would cut the milliseconds off.
_ALIVE = "(expires_at IS NULL OR expires_at > CAST(unixepoch('subsec') * 1000 AS INTEGER))"


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

    verbatim = True

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
        self._select = (
            f"SELECT CAST(content AS BLOB), expires_at FROM {quoted} WHERE name = ? AND {_ALIVE}"
        )
        self._upsert = (
            f"INSERT INTO {quoted} (name, content, expires_at) VALUES (?, ?, ?) ON CONFLICT (name) "
            "DO UPDATE SET content = excluded.content, expires_at = excluded.expires_at"
        )
        self._delete = f"DELETE FROM {quoted} WHERE name = ?"
        self._list = (
            f"SELECT CAST(name AS BLOB) FROM {quoted} WHERE name > ? AND name >= ? "
            f"AND typeof(name) = 'text' AND {_ALIVE} ORDER BY name"
        )
        self._sweep = (
            f"DELETE FROM {quoted} WHERE rowid IN "
            f"(SELECT rowid FROM {quoted} WHERE NOT {_ALIVE} LIMIT {_SWEPT_AT_ONCE})"
        )
        self._index = (
            f'CREATE INDEX IF NOT EXISTS {quoted[:-1]}_expires_at" ON {quoted} (expires_at) '
            "WHERE expires_at IS NOT NULL"
        )

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        """See Store. Costs one look-up a name and no round trip."""
        await self._ready()
        return await self._database.read(lambda file: self._read(file, names), self._timeout)

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, Outcome]:
        """See Store. One transaction, one fsync."""
        await self._ready()
        return await self._database.write(lambda file: self._write(file, items), self._timeout)

    async def swap(self, name: Name, expected: Item | None, new: Item | None) -> Swapped | None:
        """See Store. One transaction, one fsync: SQLite has a single writer at a time."""
        await self._ready()
        return await self._database.write(
            lambda file: self._swap(file, name, expected, new), self._timeout
        )

    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        """See Store. One transaction, one fsync."""
        await self._ready()
        keys = [(name,) for name in names]
        await self._database.write(lambda file: file.executemany(self._delete, keys), self._timeout)
        return {}

    async def sweep(self) -> int:
        """See Expiring. One short transaction."""
        await self._ready()
        return await self._database.write(self._swept, self._timeout)

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

    async def prepare(self, *, with_ttl: bool = False) -> Sequence[str]:
        """See Upkeep. Nothing is left to do: the table is made when it is first needed."""
        del with_ttl  # its tables have the column
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
        file.execute(self._index)

    def _read(
        self, file: apsw.Connection, names: Collection[Name]
    ) -> dict[Name, Item | SpringfieldError]:
        found: dict[Name, Item | SpringfieldError] = {}
        for name in names:
            for value, ends in file.execute(self._select, (name,)):
                found[name] = (
                    # What another program wrote may be a text, which is later than any number.
                    Item(value, expires_at=ends / 1000 if isinstance(ends, int | float) else None)
                    if isinstance(value, bytes)
                    else Unreadable(f"The row of {name} in the table {self._table} has no content.")
                )
        return found

    def _write(self, file: apsw.Connection, items: Mapping[Name, Item]) -> dict[Name, Outcome]:
        outcomes: dict[Name, Outcome] = {}
        for name, item in items.items():
            try:
                self._put(file, name, item)
                outcomes[name] = item.entity_tag
            except NotStorable as error:
                outcomes[name] = error
        return outcomes

    def _swap(
        self, file: apsw.Connection, name: Name, expected: Item | None, new: Item | None
    ) -> Swapped | None:
        found = self._read(file, [name]).get(name)
        if isinstance(found, SpringfieldError):
            raise found
        if (found and found.content) != (expected and expected.content):
            return None
        if new is None:
            file.execute(self._delete, (name,))
            return Swapped(None)
        self._put(file, name, new)
        return Swapped(new.entity_tag)

    def _put(self, file: apsw.Connection, name: Name, item: Item) -> None:
        value = item.content.decode() if self._as_text else item.content
        ends = item.ends_at
        if item.ttl is not None:
            ends = time.time_ns() // 1_000_000 + item.ttl * 1000
        try:
            file.execute(self._upsert, (name, value, ends))
        except apsw.TooBigError as error:
            raise NotStorable("SQLite holds values up to 1 GB; send less.") from error

    def _swept(self, file: apsw.Connection) -> int:
        file.execute(self._sweep)
        return file.changes()

    def _names(self, file: apsw.Connection, prefix: str, after: str, limit: int) -> list[Name]:
        names: list[Name] = []
        for (raw,) in file.execute(self._list, (after, prefix)):
            name = raw.decode(errors="replace")
            if not name.startswith(prefix) or len(names) == limit:
                break
            if is_legal_name(name) and name.encode() == raw:
                names.append(Name(name))
        return names

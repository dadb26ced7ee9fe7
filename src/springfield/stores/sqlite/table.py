"""In charge of what is asked of one table of a SQLite file. Knows no thread and no event loop.

Layout: a table a resource, `name TEXT PRIMARY KEY, content`; text and JSON are TEXT, bytes a BLOB.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from itertools import chain

import apsw

from springfield.errors import NotStorable, SpringfieldError, Unreadable, Unsuitable
from springfield.model import Item, Name, is_legal_name
from springfield.stores.store import Outcome, Swapped

Found = dict[Name, Item | SpringfieldError]
_Row = tuple[Name, str | bytes, int | None]
"""Name, content, end in milliseconds since 1970."""

SMALL = 64 * 1024
"""Bytes of a value that is read in passing."""

_SWEPT_AT_ONCE = 500

_ROWS = (64, 32, 16, 8, 4, 2, 1)
"""How many items one statement may write: powers of two, so that few statements are prepared. In a thread each
statement gives the interpreter's lock away and waits for it again: 48 items, one by one, take 2.6 µs each, and
1.3 in two statements; beside a busy loop 4 to 7, and 2."""

# SQLite's clock is the machine's; strftime('%s') would cut the milliseconds off.
_ALIVE = "(expires_at IS NULL OR expires_at > CAST(unixepoch('subsec') * 1000 AS INTEGER))"

# Its length is in a row's head: what follows a long value is not even looked at, pages further on.
_IS_LONG = f"octet_length(content) > {SMALL}"


class Table:
    """A table. Its methods are work for a connection."""

    def __init__(self, name: str, *, as_text: bool) -> None:
        self.name = name
        self._as_text = as_text
        quoted = '"' + name.replace('"', '""') + '"'
        self._create = (
            f"CREATE TABLE IF NOT EXISTS {quoted} "
            "(name TEXT NOT NULL PRIMARY KEY, content BLOB NOT NULL, expires_at INTEGER)"
        )
        # The cast gives the bytes as they are: another program's text may not even be UTF-8.
        self._select = (
            f"SELECT CAST(content AS BLOB), expires_at FROM {quoted} WHERE name = ? AND {_ALIVE}"
        )
        self._select_small = (
            f"SELECT CASE WHEN {_IS_LONG} THEN NULL ELSE CAST(content AS BLOB) END, "
            f"CASE WHEN {_IS_LONG} THEN NULL ELSE expires_at END, {_IS_LONG} "
            f"FROM {quoted} WHERE name = ? AND ({_IS_LONG} OR {_ALIVE})"
        )
        self._upserts = {
            count: f"INSERT INTO {quoted} (name, content, expires_at) VALUES "
            + ", ".join(["(?, ?, ?)"] * count)
            + " ON CONFLICT (name) "
            "DO UPDATE SET content = excluded.content, expires_at = excluded.expires_at"
            for count in _ROWS
        }
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

    def make(self, file: apsw.Connection) -> None:
        """Create it where it is missing. Raises Unsuitable for one that cannot be used."""
        file.execute(self._create)
        columns = {
            row[1] for row in file.execute("SELECT * FROM pragma_table_info(?)", (self.name,))
        }
        lacking = {"name", "content", "expires_at"} - columns
        if lacking:
            raise Unsuitable(
                f"The table {self.name} in {file.filename} lacks the column "
                f"{min(lacking)}; name another table with ?table=."
            )
        _, collation, _, is_key, _ = file.column_metadata("main", self.name, "name")
        if collation != "BINARY" or not is_key:
            raise Unsuitable(
                f"The column name of {self.name} in {file.filename} is not a primary key "
                "with the collation BINARY, so names could collide; name another table with ?table=."
            )
        file.execute(self._index)

    def read(self, file: apsw.Connection, names: Collection[Name]) -> Found:
        """See Store."""
        found: Found = {}
        for name in names:
            for value, ends in file.execute(self._select, (name,)):
                found[name] = self._item(name, value, ends)
        return found

    def read_small(self, file: apsw.Connection, names: Collection[Name]) -> Found | None:
        """Read as `read` does; None when one of the values is larger than SMALL, which is not read."""
        found: Found = {}
        for name in names:
            for value, ends, is_long in file.execute(self._select_small, (name,)).fetchall():
                if is_long:
                    return None
                found[name] = self._item(name, value, ends)
        return found

    def write(self, file: apsw.Connection, items: Mapping[Name, Item]) -> dict[Name, Outcome]:
        """See Store."""
        rows = [self._row(name, item) for name, item in items.items()]
        outcomes: dict[Name, Outcome] = {name: item.entity_tag for name, item in items.items()}
        start = 0
        for count in _ROWS:
            while len(rows) - start >= count:
                outcomes |= self._put(file, rows[start : start + count])
                start += count
        return outcomes

    def swap(
        self, file: apsw.Connection, name: Name, expected: Item | None, new: Item | None
    ) -> Swapped | None:
        """See Store."""
        found = self.read(file, [name]).get(name)
        if isinstance(found, SpringfieldError):
            raise found
        if (found and found.content) != (expected and expected.content):
            return None
        if new is None:
            file.execute(self._delete, (name,))
            return Swapped(None)
        for error in self._put(file, [self._row(name, new)]).values():
            raise error
        return Swapped(new.entity_tag)

    def delete(self, file: apsw.Connection, names: Collection[Name]) -> None:
        """See Store."""
        file.executemany(self._delete, [(name,) for name in names])

    def sweep(self, file: apsw.Connection) -> int:
        """See Expiring."""
        file.execute(self._sweep)
        return file.changes()

    def names(self, file: apsw.Connection, prefix: str, after: str, limit: int) -> list[Name]:
        """See Store."""
        names: list[Name] = []
        for (raw,) in file.execute(self._list, (after, prefix)):
            name = raw.decode(errors="replace")
            if not name.startswith(prefix) or len(names) == limit:
                break
            if is_legal_name(name) and name.encode() == raw:
                names.append(Name(name))
        return names

    def _item(self, name: Name, value: object, ends: object) -> Item | SpringfieldError:
        if not isinstance(value, bytes):
            return Unreadable(f"The row of {name} in the table {self.name} has no content.")
        # What another program wrote may be a text, which is later than any number.
        return Item(value, expires_at=ends / 1000 if isinstance(ends, int | float) else None)

    def _row(self, name: Name, item: Item) -> _Row:
        ends = item.ends_at
        if item.ttl is not None:
            ends = time.time_ns() // 1_000_000 + item.ttl * 1000
        return name, item.content.decode() if self._as_text else item.content, ends

    def _put(self, file: apsw.Connection, rows: Sequence[_Row]) -> dict[Name, NotStorable]:
        """Write one row, or as many as a statement takes; return what is refused."""
        try:
            file.execute(self._upserts[len(rows)], tuple(chain.from_iterable(rows)))
        except apsw.TooBigError as error:
            if len(rows) > 1:  # and none of them was written
                return {name: each for row in rows for name, each in self._put(file, [row]).items()}
            refused = NotStorable("SQLite holds values up to 1 GB; send less.")
            refused.__cause__ = error
            return {rows[0][0]: refused}
        return {}

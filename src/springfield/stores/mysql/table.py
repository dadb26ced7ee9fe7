"""In charge of one MySQL table: what fits into it, and the SQL that keeps names apart.

Every statement compares names and contents as bytes, whatever the collation of their column does.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from springfield.errors import NotStorable, SpringfieldError
from springfield.model import Item, Name
from springfield.stores.mysql.errors import TAKEN
from springfield.stores.mysql.layout import (
    EXPIRES_AT,
    EXPIRY_UNIT,
    NOW,
    Column,
    Expiry,
    Row,
    quoted,
)

BATCH = 256
"""The most names in one statement."""

_PACKET_OVERHEAD = 8192
"""Bytes that travel with the contents of one row, at most: its name twice, and the SQL's own."""

Argument = bytes | str | int | None
Statement = tuple[str, list[Argument]]
"""SQL with `?` for each argument."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that was found fit, and its SQL. Texts are few: counts are powers of two."""

    title: str
    """For messages: `database.table`."""
    sql_name: str
    name: Column
    content: Column
    expiry: Expiry | None
    """None where items cannot expire."""
    engine: str
    max_packet: int
    """Bytes; the server closes the connection on a larger statement."""
    _selects: dict[int, str] = field(default_factory=dict, init=False, compare=False, repr=False)
    """What `select` gives, by the number of names."""

    def refusal(
        self, name: Name, item: Item | None = None, expected: Item | None = None
    ) -> SpringfieldError | None:
        """Return the error for a name, and what it shall hold, that cannot be kept whole.

        `expected` travels too, as the condition of a swap.
        """
        if not self.name.has_room_for_characters_of(name):
            return NotStorable(
                f"The name has characters that {self.title} cannot keep: its column "
                f"{self.name.name} has the character set {self.name.charset}."
            )
        if reason := self.name.refusal(name.encode()):
            return NotStorable(f"The name does not fit into {self.title}: {reason}.")
        if item and (reason := self.content.refusal(item.content)):
            return NotStorable(f"The content does not fit into {self.title}: {reason}.")
        if item and not self.expiry and (item.ttl, item.expires_at) != (None, None):
            return NotStorable(
                f"The MySQL table {self.title} cannot expire items: it has no nullable BIGINT "
                f"column {EXPIRES_AT} with the comment '{EXPIRY_UNIT}', as tables of "
                "`springfield init` have. Leave out ttl, or add the column."
            )
        size = (len(item.content) if item else 0) + (len(expected.content) if expected else 0)
        if not self.can_send(size):
            return NotStorable(
                f"The content has {size} bytes (under a precondition together with the content "
                f"that it replaces); max_allowed_packet of the MySQL server is {self.max_packet}. "
                "Raise it."
            )
        return None

    def can_send(self, size: int) -> bool:
        """Whether one statement may bring contents of so many bytes, whatever the name."""
        return size + _PACKET_OVERHEAD <= self.max_packet

    def chunks(self, rows: Iterable[Row]) -> Iterator[list[Row]]:
        """Cut rows into statements: by count, and by bytes so that padding has room."""
        chunk: list[Row] = []
        size = 0
        for row in rows:
            its_size = row.size
            if chunk and (len(chunk) == BATCH or size + its_size > self.max_packet // 4):
                yield chunk
                chunk, size = [], 0
            chunk.append(row)
            size += its_size
        if chunk:
            yield chunk

    def select(self, names: Sequence[Name]) -> Statement:
        """Return SQL that gives name, content and end, as bytes, of the names that are there."""
        padded, arguments = self._padded(names)
        count = len(padded)
        sql = self._selects.get(count)
        if sql is None:
            ends = quoted(self.expiry.name) if self.expiry else "NULL"
            columns = f"{self.name.as_bytes}, {self.content.as_bytes}, {ends}"
            where = f"{self._is_among(count)}{self._and_alive}"
            sql = self._selects[count] = f"SELECT {columns} FROM {self.sql_name} WHERE {where}"
        return sql, arguments

    def delete(self, names: Sequence[Name], expected: bytes | None = None) -> Statement:
        """Return SQL that removes exactly these names, where they hold what is `expected`."""
        match, arguments = self._match(names, expected)
        return f"DELETE FROM {self.sql_name} WHERE {match}", arguments

    def update(self, row: Row, expected: bytes | None = None) -> Statement:
        """Return SQL that overwrites the row of exactly this name, where it holds `expected`."""
        match, arguments = self._match([row.name], expected)
        changes = f"{quoted(self.content.name)} = ?"
        if self.expiry:
            changes += f", {quoted(self.expiry.name)} = {_END}"
        _, *values = self._arguments(row)
        return f"UPDATE {self.sql_name} SET {changes} WHERE {match}", [*values, *arguments]

    def upsert(self, rows: Sequence[Row]) -> Statement:
        """Return SQL that inserts or overwrites all rows, or fails (1690) and changes nothing.

        It fails when the row that is in the way bears another name: one that the collation holds
        for equal, or one that another unique key brought up.
        """
        return self._insert(rows, f"VALUES({quoted(self.content.name)})")

    def insert(self, row: Row) -> Statement:
        """Return SQL that inserts the row, in the place of an expired one of its name too.

        Where an item of its name is alive it fails (1292, `TAKEN`), where another name is in the
        way as `upsert` does. Either way nothing is touched: no trigger on updates runs.
        """
        # The dependence on the row keeps MySQL from evaluating it before it has looked.
        taken = f"CAST(CONCAT('{TAKEN}', LENGTH(VALUES({quoted(self.name.name)}))) AS SIGNED)"
        has_ended = self.expiry.has_ended if self.expiry else "FALSE"
        return self._insert([row], f"IF({has_ended}, VALUES({quoted(self.content.name)}), {taken})")

    def page(self, prefix: str, after: bytes | None, limit: int) -> Statement:
        """Return SQL that gives up to `limit` names in byte order, behind `after`.

        A range scan where names are bytes; otherwise it reads all names.
        """
        key = self.name.as_bytes
        conditions = [self.expiry.is_alive] if self.expiry else []
        arguments = list[Argument]()
        if prefix:
            start = prefix.encode()
            conditions += [f"{key} >= ?", f"{key} < ?"]
            # UTF-8 never has the byte 255, so the last byte can always be raised.
            arguments += [start, start[:-1] + bytes([start[-1] + 1])]
        if after is not None:
            conditions.append(f"{key} > ?")
            arguments.append(after)
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        sql = f"SELECT {key} FROM {self.sql_name} {where}ORDER BY 1 LIMIT ?"
        return sql, [*arguments, limit]

    def sweep(self, limit: int) -> Statement | None:
        """Return SQL that removes up to `limit` expired rows; None where it would read them all."""
        if self.expiry is None or not self.expiry.is_indexed:
            return None
        ends = quoted(self.expiry.name)
        where = f"WHERE {self.expiry.has_ended} ORDER BY {ends} LIMIT ?"
        return f"DELETE FROM {self.sql_name} {where}", [limit]

    @property
    def _and_alive(self) -> str:
        return f" AND {self.expiry.is_alive}" if self.expiry else ""

    def _insert(self, rows: Sequence[Row], replacement: str) -> Statement:
        # The sum is out of range for every row: an error that every version raises in every mode.
        name, content = quoted(self.name.name), quoted(self.content.name)
        columns, values = [name, content], "?, ?"
        changes = (
            f"{content} = IF(CAST({name} AS BINARY) = CAST(VALUES({name}) AS BINARY), "
            f"{replacement}, 18446744073709551615 + LENGTH(VALUES({name})))"
        )
        if self.expiry:
            ends = quoted(self.expiry.name)
            columns.append(ends)
            values += f", {_END}"
            # Behind the content: an assignment sees what those before it have changed.
            changes += f", {ends} = VALUES({ends})"
        padding = _power_of_two(len(rows)) - len(rows)
        padded = [*rows, *[min(rows, key=lambda row: row.size)] * padding] if padding else rows
        sql = (
            f"INSERT INTO {self.sql_name} ({', '.join(columns)}) "
            f"VALUES {', '.join([f'({values})'] * len(padded))} "
            f"ON DUPLICATE KEY UPDATE {changes}"
        )
        return sql, [argument for row in padded for argument in self._arguments(row)]

    def _arguments(self, row: Row) -> tuple[Argument, ...]:
        name = self.name.argument(row.name.encode())
        content = self.content.argument(row.item.content)
        return (name, content, *row.end) if self.expiry else (name, content)

    def _match(self, names: Sequence[Name], expected: bytes | None = None) -> Statement:
        """Return the condition for these names, alive and with the content `expected` if given."""
        padded, arguments = self._padded(names)
        match = self._is_among(len(padded))
        if expected is None:
            return match, arguments
        return f"{match} AND {self.content.as_bytes} = ?{self._and_alive}", [*arguments, expected]

    def _padded(self, names: Sequence[Name]) -> tuple[Sequence[Name], list[Argument]]:
        """Return as many names as SQL is made for, and the arguments of `_is_among`."""
        padding = _power_of_two(len(names)) - len(names)
        padded = [*names, *[names[-1]] * padding] if padding else names
        arguments = list[Argument](name.encode() for name in padded)
        return padded, [*padded, *arguments] if self.name.is_text else arguments

    def _is_among(self, count: int) -> str:
        """Return the condition for exactly so many names."""
        match = f"{self.name.as_bytes} IN ({', '.join('?' * count)})"
        if not self.name.is_text:
            return match
        # The first condition finds the rows through the index, the second keeps the exact ones.
        folded = f"CONVERT(? USING {self.name.charset}) COLLATE {self.name.collation}"
        return f"{quoted(self.name.name)} IN ({', '.join([folded] * count)}) AND {match}"


_END = f"CAST(? AS SIGNED) + IF(?, {NOW}, 0)"


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()

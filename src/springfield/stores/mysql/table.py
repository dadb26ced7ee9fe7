"""In charge of one MySQL table: what fits into its columns, and the SQL that keeps names apart.

Every statement compares names as bytes, whatever the collation of their column does.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from springfield.errors import NotStorable, SpringfieldError
from springfield.model import Item, Name

BATCH = 256
"""The most names in one statement."""

_PACKET_OVERHEAD = 1024 + 16 * BATCH
_ROW_OVERHEAD = 64

# How to measure a text in a column's character set; the others have one byte a character.
_CODECS = {
    "utf8mb4": "utf-8",
    "utf8mb3": "utf-8",
    "utf8": "utf-8",
    "ucs2": "utf-16-le",
    "utf16": "utf-16-le",
    "utf16le": "utf-16-le",
    "utf32": "utf-32-le",
}
_BASIC_PLANE = frozenset({"utf8mb3", "utf8", "ucs2"})
_NARROW = {"ascii": "ascii", "latin1": "cp1252"}

INEXACT_CHARSETS = frozenset(
    {"big5", "cp932", "eucjpms", "euckr", "gb2312", "gb18030", "gbk", "sjis", "ujis"}
)
"""Here a text may come back as another one: several characters share one code."""


def quoted(identifier: str) -> str:
    """Return an identifier as SQL takes it, whatever it holds."""
    return "`" + identifier.replace("`", "``") + "`"


@dataclass(frozen=True, slots=True)
class Column:
    """One column, as information_schema.columns describes it."""

    name: str
    data_type: str
    characters: int
    """For binary types this is bytes."""
    octets: int
    charset: str | None
    collation: str | None

    @property
    def is_text(self) -> bool:
        """Whether the column holds characters; otherwise it holds bytes."""
        return self.charset is not None

    def refusal(self, value: bytes) -> str | None:
        """Say why the column cannot keep `value` whole; None when it can, as far as we know.

        MySQL cuts trailing spaces silently, in strict mode too, so lengths are judged here.
        """
        if self.charset is None:
            if len(value) > self.characters:
                return f"it has {len(value)} bytes and the column takes {self.characters}"
            return None
        text = value.decode()
        size = len(text.encode(_CODECS[self.charset])) if self.charset in _CODECS else len(text)
        if len(text) > self.characters or size > self.octets:
            return (
                f"it has {len(text)} characters ({size} bytes) and the column takes "
                f"{self.characters} ({self.octets} bytes)"
            )
        if self.data_type == "char" and text.endswith(" "):
            return "it ends with a space, which a CHAR column drops"
        return None

    def has_room_for_characters_of(self, name: str) -> bool:
        """Whether the column's character set has every character of `name`."""
        if self.charset in _BASIC_PLANE:
            return max(name) <= "\uffff"
        if self.charset in _NARROW:
            try:
                name.encode(_NARROW[self.charset])
            except UnicodeEncodeError:
                return False
        return True

    @property
    def as_bytes(self) -> str:
        """SQL for the column's value as UTF-8 bytes."""
        if self.is_text:
            return f"CAST(CONVERT({quoted(self.name)} USING utf8mb4) AS BINARY)"
        return quoted(self.name)

    def argument(self, value: bytes) -> bytes | str:
        """Return `value` as the driver has to send it for this column."""
        return value.decode() if self.is_text else value


@dataclass(frozen=True, slots=True)
class Row:
    """What one name of a write sends."""

    name: Name
    content: bytes

    @property
    def size(self) -> int:
        """At most so many bytes travel for it."""
        return 4 * len(self.name) + len(self.content) + _ROW_OVERHEAD


@dataclass(frozen=True, slots=True)
class Table:
    """A table that was found fit, and its SQL. Texts are few: counts are powers of two."""

    title: str
    """For messages: `database.table`."""
    sql_name: str
    name: Column
    content: Column
    engine: str
    max_packet: int
    """Bytes; the server closes the connection on a larger statement."""

    def refusal(self, name: Name, item: Item | None = None) -> SpringfieldError | None:
        """Return the error for a name, and what it shall hold, that cannot be kept whole."""
        if not self.name.has_room_for_characters_of(name):
            return NotStorable(
                f"The name has characters that {self.title} cannot keep: its column "
                f"{self.name.name} has the character set {self.name.charset}."
            )
        if reason := self.name.refusal(name.encode()):
            return NotStorable(f"The name does not fit into {self.title}: {reason}.")
        if item is None:
            return None
        if reason := self.content.refusal(item.content):
            return NotStorable(f"The content does not fit into {self.title}: {reason}.")
        if Row(name, item.content).size + _PACKET_OVERHEAD > self.max_packet:
            return NotStorable(
                f"The content has {len(item.content)} bytes; max_allowed_packet of the MySQL "
                f"server is {self.max_packet}. Raise it."
            )
        return None

    def chunks(self, rows: Iterable[Row]) -> Iterator[list[Row]]:
        """Cut rows into statements: by count, and by bytes so that padding has room."""
        chunk: list[Row] = []
        size = 0
        for row in rows:
            if chunk and (len(chunk) == BATCH or size + row.size > self.max_packet // 4):
                yield chunk
                chunk, size = [], 0
            chunk.append(row)
            size += row.size
        if chunk:
            yield chunk

    def select(self, names: Sequence[Name]) -> tuple[str, list[bytes | str]]:
        """Return SQL that gives name and content, as bytes, of the names that are there."""
        match, arguments = self._match(names)
        columns = f"{self.name.as_bytes}, {self.content.as_bytes}"
        return f"SELECT {columns} FROM {self.sql_name} WHERE {match}", arguments

    def delete(self, names: Sequence[Name]) -> tuple[str, list[bytes | str]]:
        """Return SQL that removes exactly these names."""
        match, arguments = self._match(names)
        return f"DELETE FROM {self.sql_name} WHERE {match}", arguments

    def update(self, row: Row) -> tuple[str, list[bytes | str]]:
        """Return SQL that overwrites the row of exactly this name, when there is one."""
        match, arguments = self._match([row.name])
        sql = f"UPDATE {self.sql_name} SET {quoted(self.content.name)} = ? WHERE {match}"
        return sql, [self.content.argument(row.content), *arguments]

    def upsert(self, rows: Sequence[Row]) -> tuple[str, list[bytes | str]]:
        """Return SQL that inserts or overwrites all rows, or fails (1690) and changes nothing.

        It fails when the row that is in the way bears another name: one that the collation holds
        for equal, or one that another unique key brought up. The sum in the last branch is out of
        range for every row: the one error that every version raises in every mode.
        """
        name, content = quoted(self.name.name), quoted(self.content.name)
        smallest = min(rows, key=lambda row: row.size)
        padded = [*rows, *[smallest] * (_power_of_two(len(rows)) - len(rows))]
        sql = (
            f"INSERT INTO {self.sql_name} ({name}, {content}) "
            f"VALUES {', '.join(['(?, ?)'] * len(padded))} "
            f"ON DUPLICATE KEY UPDATE {content} = "
            f"IF(CAST({name} AS BINARY) = CAST(VALUES({name}) AS BINARY), VALUES({content}), "
            f"18446744073709551615 + LENGTH(VALUES({name})))"
        )
        arguments = list[bytes | str]()
        for row in padded:
            arguments.append(self.name.argument(row.name.encode()))
            arguments.append(self.content.argument(row.content))
        return sql, arguments

    def page(self, prefix: str, after: bytes | None, limit: int) -> tuple[str, list[bytes | int]]:
        """Return SQL that gives up to `limit` names in byte order, behind `after`.

        A range scan where names are bytes; otherwise it reads all names.
        """
        key = self.name.as_bytes
        conditions: list[str] = []
        arguments = list[bytes | int]()
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

    def _match(self, names: Sequence[Name]) -> tuple[str, list[bytes | str]]:
        padded = [*names, *[names[-1]] * (_power_of_two(len(names)) - len(names))]
        exact = list[bytes | str](name.encode() for name in padded)
        match = f"{self.name.as_bytes} IN ({', '.join('?' * len(padded))})"
        if not self.name.is_text:
            return match, exact
        # The first condition finds the rows through the index, the second keeps the exact ones.
        folded = f"CONVERT(? USING {self.name.charset}) COLLATE {self.name.collation}"
        listed = ", ".join([folded] * len(padded))
        return f"{quoted(self.name.name)} IN ({listed}) AND {match}", [*padded, *exact]


def is_charset_name(text: str) -> bool:
    """Whether `text` is the name of a character set or collation, safe within SQL."""
    return re.fullmatch(r"[a-z0-9_]+", text) is not None


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()

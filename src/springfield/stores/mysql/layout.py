"""In charge of the layout: what a row sends, what a column can hold, and how SQL speaks of it.

Names and ends of items mean the same whatever the collation of a table or the server's time zone.
"""

import re
from dataclasses import dataclass

from springfield.model import Item, Name

EXPIRES_AT = "expires_at"
EXPIRY_UNIT = "milliseconds since 1970"
"""What the comment of the column has to say: elsewhere such a number may be in seconds."""

# NOW() is ambiguous in the hour in which a time zone's summer ends; UTC_TIMESTAMP() never is.
NOW = "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000)"

_NEVER = 2**63 - 1

_ROW_OVERHEAD = 96

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
class Expiry:
    """The nullable BIGINT column with the milliseconds since 1970 at which a row ends."""

    name: str
    is_indexed: bool
    """Whether expired rows can be found without reading the table."""

    @property
    def is_alive(self) -> str:
        """SQL that is true of rows that have not ended; of no use to an index, on purpose.

        The index holds all names too, and MySQL would sort them anew for each page.
        """
        return f"COALESCE({quoted(self.name)}, {_NEVER}) > {NOW}"

    @property
    def has_ended(self) -> str:
        """SQL that is true of rows that have ended, which the index finds."""
        return f"{quoted(self.name)} <= {NOW}"


@dataclass(frozen=True, slots=True)
class Row:
    """What one name of a write sends."""

    name: Name
    item: Item

    @property
    def size(self) -> int:
        """At most so many bytes travel for it."""
        return 4 * len(self.name) + len(self.item.content) + _ROW_OVERHEAD

    @property
    def end(self) -> tuple[int | None, bool]:
        """The end in milliseconds, None for never, and whether it counts from now."""
        if self.item.ttl is not None:
            return self.item.ttl * 1000, True
        return self.item.ends_at, False


def is_charset_name(text: str) -> bool:
    """Whether `text` is the name of a character set or collation, safe within SQL."""
    return re.fullmatch(r"[a-z0-9_]+", text) is not None

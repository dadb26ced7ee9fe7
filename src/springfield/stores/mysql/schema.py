"""In charge of finding out what a table is, and of refusing one that cannot hold a resource.

Never alters a table; creates one where there is none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from springfield.errors import Misconfigured, Unsuitable
from springfield.model import NAME_LIMIT, Kind
from springfield.stores.mysql.layout import (
    EXPIRES_AT,
    EXPIRY_UNIT,
    INEXACT_CHARSETS,
    Column,
    Expiry,
    is_charset_name,
    quoted,
)
from springfield.stores.mysql.server import Server, Session
from springfield.stores.mysql.table import Table
from springfield.stores.mysql.url import Address

_NAME_TYPES = frozenset({"varbinary", "varchar", "char"})
_BYTES_TYPES = frozenset({"varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_TEXT_TYPES = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})

_COLUMNS = (
    "SELECT column_name, data_type, character_maximum_length, character_octet_length, "
    "character_set_name, collation_name, is_nullable, column_default, extra, column_comment "
    "FROM information_schema.columns WHERE table_schema = ? AND table_name = ?"
)
_KEYS = (
    "SELECT index_name, column_name, sub_part, non_unique, seq_in_index "
    "FROM information_schema.statistics WHERE table_schema = ? AND table_name = ?"
)
_CHECKS = (
    "SELECT check_clause FROM information_schema.check_constraints "
    "WHERE constraint_schema = ? AND table_name = ?"
)
_ENGINE = (
    "SELECT engine, @@max_allowed_packet, VERSION() FROM information_schema.tables "
    "WHERE table_schema = ? AND table_name = ?"
)


def create_statement(address: Address) -> str:
    """Return SQL that creates the table; names are bytes, so that none folds into another."""
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(address.database)}.{quoted(address.table)} "
        f"(name VARBINARY({NAME_LIMIT}) NOT NULL PRIMARY KEY, content LONGBLOB NOT NULL, "
        f"{EXPIRES_AT} BIGINT NULL COMMENT '{EXPIRY_UNIT}', INDEX ({EXPIRES_AT})) "
        "ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4"
    )


async def introspect(session: Session, server: Server, address: Address, kind: Kind) -> Table:
    """Return the table, found fit for items of `kind`; raise Misconfigured otherwise."""
    where = (address.database, address.table)
    columns = {str(row[0]).lower(): row for row in await session.read(_COLUMNS, where)}
    if not columns:
        raise server.failures.no_table()
    title = f"{address.database}.{address.table}"
    name, content = (_column(columns, each, title) for each in ("name", "content"))
    keys = await session.read(_KEYS, where)
    _check_key(keys, title)
    _check_others(columns, title)
    ((engine, max_packet, version),) = await session.read(_ENGINE, where)
    _check_name(name, title)
    _check_content(content, kind, title)
    if kind is Kind.TEXT and "MariaDB" in version:
        _check_checks(await session.read(_CHECKS, where), title)
    return Table(
        title=title,
        sql_name=f"{quoted(address.database)}.{quoted(address.table)}",
        name=name,
        content=content,
        expiry=_expiry(columns, keys),
        engine=engine or "",
        max_packet=int(max_packet),
    )


def _column(columns: Mapping[str, Sequence[Any]], name: str, title: str) -> Column:
    if name not in columns:
        raise Misconfigured(
            f"The MySQL table {title} has no column {name}; add it, or name another table "
            "with ?table= in the store's URL."
        )
    shown, data_type, characters, octets, charset, collation = columns[name][:6]
    for label in (charset, collation):
        if label is not None and not is_charset_name(label):
            raise Misconfigured(f"MySQL names a character set {label!r}, which it never has.")
    if charset in INEXACT_CHARSETS:
        raise Unsuitable(
            f"The column {name} of the MySQL table {title} has the character set {charset}, in "
            "which a text may come back as another one; use utf8mb4."
        )
    return Column(shown, data_type.lower(), characters or 0, octets or 0, charset, collation)


def _expiry(columns: Mapping[str, Sequence[Any]], keys: Sequence[Sequence[Any]]) -> Expiry | None:
    """Return the column of lifetimes; one that only bears its name may count in seconds."""
    if EXPIRES_AT not in columns:
        return None
    shown, data_type, *_, nullable, _, extra, comment = columns[EXPIRES_AT]
    is_fit = data_type.lower() == "bigint" and nullable == "YES" and not extra
    if not is_fit or EXPIRY_UNIT not in str(comment).lower():
        return None
    first = {str(column).lower() for _, column, _, _, position in keys if position == 1}
    return Expiry(shown, is_indexed=EXPIRES_AT in first)


def _check_key(keys: Sequence[Sequence[Any]], title: str) -> None:
    unique: dict[str, list[tuple[str, Any]]] = {}
    for index, column, sub_part, non_unique, _ in keys:
        if not non_unique:
            unique.setdefault(index, []).append((str(column).lower(), sub_part))
    if [("name", None)] not in unique.values():
        raise Misconfigured(
            f"The MySQL table {title} has no primary or unique key on the whole column name alone; "
            "add one."
        )


def _check_others(columns: Mapping[str, Sequence[Any]], title: str) -> None:
    for key, column in columns.items():
        nullable, default, extra = column[6:9]
        is_filled = nullable == "YES" or default is not None or "auto_increment" in extra.lower()
        if key not in {"name", "content"} and not is_filled and "GENERATED" not in extra.upper():
            raise Misconfigured(
                f"The column {column[0]} of the MySQL table {title} has no default, so nothing can "
                "be inserted; give it one."
            )


def _check_name(name: Column, title: str) -> None:
    if name.data_type not in _NAME_TYPES:
        raise Unsuitable(
            f"The column name of the MySQL table {title} is of type {name.data_type}; it has to "
            "be VARBINARY, VARCHAR or CHAR."
        )


def _check_content(content: Column, kind: Kind, title: str) -> None:
    if kind is Kind.BYTES and content.data_type in _TEXT_TYPES:
        raise Unsuitable(
            f"The column content of the MySQL table {title} is of type {content.data_type}, which "
            "cannot hold bytes; use a BLOB column, or make the resource text or json."
        )
    if content.data_type not in _TEXT_TYPES | _BYTES_TYPES:
        raise Unsuitable(
            f"The column content of the MySQL table {title} is of type {content.data_type}, which "
            "does not keep what it is given exactly; use LONGTEXT or LONGBLOB."
        )


def _check_checks(checks: Sequence[Sequence[Any]], title: str) -> None:
    for (clause,) in checks:
        if "json_valid" in str(clause).lower() and "`content`" in str(clause).lower():
            raise Unsuitable(
                f"The column content of the MySQL table {title} takes JSON alone; make the "
                "resource json, or drop the check."
            )

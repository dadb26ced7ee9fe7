"""Many items go into a table in few statements, and what one of them cannot hold fails alone."""

from collections.abc import Iterator

import apsw
import pytest

from springfield.errors import NotStorable
from springfield.model import Item, Name
from springfield.stores.sqlite.table import Table

LIMIT = 100_000
"""Bytes that a value may have here; else it is a gigabyte."""


@pytest.fixture
def table() -> Table:
    return Table("things", as_text=True)


@pytest.fixture
def file(table: Table) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    table.make(connection)
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, LIMIT)
    yield connection
    connection.close()


def items_of(count: int) -> dict[Name, Item]:
    return {Name(f"n{number}"): Item(b"%d" % number) for number in range(count)}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 63, 64, 65, 127, 200])
def test_as_many_as_come_are_written_in_few_statements(
    table: Table, file: apsw.Connection, count: int
) -> None:
    items = items_of(count)
    statements: list[str] = []

    def note(_: object, statement: str, __: object) -> bool:
        statements.append(statement)
        return True

    file.exec_trace = note
    outcomes = table.write(file, items)
    file.exec_trace = None
    assert outcomes == {name: item.entity_tag for name, item in items.items()}
    assert {name: item.content for name, item in _read(table, file, items).items()} == {
        name: item.content for name, item in items.items()
    }
    assert len(statements) <= count // 64 + 6


def test_a_value_that_is_too_long_fails_alone(table: Table, file: apsw.Connection) -> None:
    items = items_of(20)
    items[Name("n7")] = Item(b"x" * (LIMIT + 1))
    outcomes = table.write(file, items)
    assert isinstance(outcomes.pop(Name("n7")), NotStorable)
    assert set(outcomes.values()) == {
        item.entity_tag for name, item in items.items() if name != "n7"
    }
    assert set(_read(table, file, items)) == set(outcomes)
    with pytest.raises(NotStorable):
        table.swap(file, Name("n7"), None, items[Name("n7")])


def _read(table: Table, file: apsw.Connection, items: dict[Name, Item]) -> dict[Name, Item]:
    found = table.read(file, list(items))
    return {name: item for name, item in found.items() if isinstance(item, Item)}

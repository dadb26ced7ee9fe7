"""In charge of keeping items in a table of MySQL or MariaDB.

Layout: columns `name` and `content`, of other programs' tables too. A text column holds text, a
BLOB column bytes. Every write is one statement that commits.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from asyncmy.errors import MySQLError

from springfield.errors import Misconfigured, SpringfieldError, Unreadable
from springfield.model import Item, Name, is_legal_name
from springfield.stores.mysql.errors import (
    OUT_OF_RANGE,
    REFUSED_ROWS,
    SCHEMA_CHANGED,
    code_of,
    is_taken,
)
from springfield.stores.mysql.inspection import FACTS, inspection_of
from springfield.stores.mysql.layout import Row
from springfield.stores.mysql.schema import create_statement, introspect
from springfield.stores.mysql.server import Server, Session
from springfield.stores.mysql.table import BATCH, Table
from springfield.stores.mysql.url import Address, parse_url
from springfield.stores.store import Inspection, Outcome, PoolStatus, StoreOptions, Swapped

Refusals = dict[Name, SpringfieldError]

_SWEPT_AT_ONCE = 200


@asynccontextmanager
async def open_store(url: str, options: StoreOptions) -> AsyncIterator["MySQL"]:
    """Open `mysql://user:password@host:port/database`, with `?table=` and `?ssl-ca=`."""
    address = parse_url(url, options.resource)
    server = Server(address, options)
    try:
        yield MySQL(server, address, options)
    finally:
        await server.close()


class MySQL:
    """A table of MySQL or MariaDB as a store."""

    verbatim = True

    def __init__(self, server: Server, address: Address, options: StoreOptions) -> None:
        self._server = server
        self._address = address
        self._options = options
        self._table: Table | None = None

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        """See Store. One statement for each 256 names."""
        found: dict[Name, Item | SpringfieldError] = {}
        async with self._call() as (session, table):
            for batch in _batches(table, names):
                for name, content, ends in await session.read(*table.select(batch)):
                    found[Name(name.decode())] = _item(content, ends, table)
        return found

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, Outcome]:
        """See Store. One statement for each 256 names or quarter of max_allowed_packet."""
        async with self._call() as (session, table):
            outcomes: dict[Name, Outcome] = {}
            rows: list[Row] = []
            for name in _ordered(items):
                if refusal := table.refusal(name, items[name]):
                    outcomes[name] = refusal
                else:
                    rows.append(Row(name, items[name]))
                    outcomes[name] = items[name].entity_tag
            for chunk in table.chunks(rows):
                outcomes |= await self._write(session, table, chunk)
            return outcomes

    async def swap(self, name: Name, expected: Item | None, new: Item | None) -> Swapped | None:
        """See Store. One statement."""
        async with self._call() as (session, table):
            outcome = await self._swap(session, table, name, expected, new)
        if isinstance(outcome, SpringfieldError):
            raise outcome
        return outcome

    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        """See Store. One statement for each 256 names."""
        async with self._call() as (session, table):
            refused: Refusals = {}
            for batch in _batches(table, names):
                refused |= await self._delete(session, table, batch)
            return refused

    async def sweep(self) -> int:
        """See Expiring. One statement of up to 200 rows; none where no index leads to them."""
        async with self._call() as (session, table):
            statement = table.sweep(_SWEPT_AT_ONCE)
            return await session.change(*statement) if statement else 0

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """See Store. A range of the key where names are bytes; else a scan of all names."""
        legal: list[Name] = []
        last = None if after is None else after.encode()
        async with self._call() as (session, table):
            while len(legal) < limit:
                rows = await session.read(*table.page(prefix, last, limit))
                legal += [name for (raw,) in rows if (name := _legal(raw))]
                if len(rows) < limit:
                    break
                last = rows[-1][0]
        return legal[:limit]

    def pool(self) -> PoolStatus:
        """See Pooled."""
        return self._server.pool()

    async def ping(self) -> None:
        """See Store. Asks the table for a row."""
        await self.read([Name("x")])

    async def inspect(self) -> Inspection:
        """See Upkeep."""
        async with self._call() as (session, table):
            (facts,) = await session.read(FACTS)
        return inspection_of(facts, table, self._options.item_limit)

    async def prepare(self, *, with_ttl: bool = False) -> Sequence[str]:
        """See Upkeep. Creates the database and the table; an unfit table is Misconfigured."""
        del with_ttl  # its tables have the column
        done: list[str] = []
        if await self._server.create_database():
            done.append(f"Created the MySQL database {self._address.database}.")
        with suppress(Misconfigured):
            self._table = None
            await self.ping()
            return done
        async with self._server.session() as session:
            await session.define(create_statement(self._address))
        await self.ping()
        done.append(f"Created the MySQL table {self._address.database}.{self._address.table}.")
        return done

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[tuple[Session, Table]]:
        async with self._server.session() as session:
            try:
                if self._table is None:
                    self._table = await introspect(
                        session, self._server, self._address, self._options.kind
                    )
                yield session, self._table
            except MySQLError as error:
                self._forget_if_changed(error)
                raise

    def _forget_if_changed(self, error: MySQLError) -> None:
        if code_of(error) in SCHEMA_CHANGED:
            self._table = None

    async def _write(self, session: Session, table: Table, rows: Sequence[Row]) -> Refusals:
        try:
            await session.change(*table.upsert(rows))
        except MySQLError as error:
            if code_of(error) not in REFUSED_ROWS:
                raise
            self._forget_if_changed(error)
            if len(rows) == 1:
                return await self._write_around(session, table, rows[0], error)
        else:
            return {}
        refused: Refusals = {}
        for row in rows:
            refused |= await self._write(session, table, [row])
        return refused

    async def _write_around(
        self, session: Session, table: Table, row: Row, error: MySQLError
    ) -> Refusals:
        # Another unique key than that of the name may have stood in the way of the insert.
        if code_of(error) == OUT_OF_RANGE and await session.change(*table.update(row)):
            return {}
        return {row.name: self._server.failures.refused_row(error)}

    async def _delete(self, session: Session, table: Table, names: Sequence[Name]) -> Refusals:
        try:
            await session.change(*table.delete(names))
        except MySQLError as error:
            if code_of(error) not in REFUSED_ROWS:
                raise
            if len(names) == 1:
                return {names[0]: self._server.failures.undeletable_row(error)}
        else:
            return {}
        refused: Refusals = {}
        for name in names:
            refused |= await self._delete(session, table, [name])
        return refused

    async def _swap(
        self,
        session: Session,
        table: Table,
        name: Name,
        expected: Item | None,
        new: Item | None,
    ) -> Swapped | SpringfieldError | None:
        if refusal := table.refusal(name, new, expected):
            return refusal
        if expected is None:
            if new is None:
                return None if await session.read(*table.select([name])) else Swapped(None)
            statement = table.insert(Row(name, new))
        elif new is None:
            statement = table.delete([name], expected.content)
        else:
            statement = table.update(Row(name, new), expected.content)
        try:
            matched = await session.change(*statement)
        except MySQLError as error:
            if is_taken(error):
                return None
            if code_of(error) not in REFUSED_ROWS:
                raise
            self._forget_if_changed(error)
            failures = self._server.failures
            return failures.refused_row(error) if new else failures.undeletable_row(error)
        return Swapped(new.entity_tag if new else None) if matched else None


def _ordered(names: Collection[Name]) -> list[Name]:
    # In one order everywhere, so that two batches do not wait for each other.
    return sorted(names, key=str.encode)


def _batches(table: Table, names: Collection[Name]) -> list[list[Name]]:
    kept = [name for name in _ordered(names) if table.refusal(name) is None]
    return [kept[start : start + BATCH] for start in range(0, len(kept), BATCH)]


def _item(content: bytes | None, ends: int | None, table: Table) -> Item | SpringfieldError:
    if content is None:
        return Unreadable(f"The content of this row of {table.title} is NULL; write it anew.")
    return Item(content, expires_at=None if ends is None else ends / 1000)


def _legal(raw: bytes | None) -> Name | None:
    try:
        name = "" if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None
    return Name(name) if is_legal_name(name) else None

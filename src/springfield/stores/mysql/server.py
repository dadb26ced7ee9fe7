"""In charge of one call to MySQL: its deadline, its connection and what its failure means.

The only place with a time limit; asyncmy's own read_timeout would add a task to every packet.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncmy
from asyncmy.constants.CLIENT import FOUND_ROWS
from asyncmy.constants.CR import CR_SERVER_LOST
from asyncmy.errors import MySQLError, OperationalError

from springfield.stores.mysql.errors import (
    DEADLOCKS,
    UNKNOWN_DATABASE,
    Failures,
    Progress,
    code_of,
    is_answer,
)
from springfield.stores.mysql.layout import quoted
from springfield.stores.mysql.pool import Connection, ConnectionPool, Driver
from springfield.stores.mysql.url import Address
from springfield.stores.store import PoolStatus, StoreOptions

_ATTEMPTS = 3


class Session:
    """A connection for the length of one call."""

    def __init__(self, connection: Connection, progress: Progress) -> None:
        self._connection = connection
        self._progress = progress

    async def read(self, sql: str, arguments: Sequence[Any] = ()) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a query; it stays prepared."""
        rows: Sequence[tuple[Any, ...]] = (await self._connection.run(sql, arguments)).rows
        return rows

    async def change(self, sql: str, arguments: Sequence[Any]) -> int:
        """Run a statement that writes, and commits, and return how many rows it matched.

        One that was undone in a deadlock is repeated, three times in all.
        """
        attempt = 1
        await self._connection.prepare(sql)
        while True:
            self._progress.in_flight = True
            try:
                result = await self._connection.run(sql, arguments)
            except MySQLError as error:
                self._progress.in_flight = not is_answer(error)
                if code_of(error) not in DEADLOCKS or attempt == _ATTEMPTS:
                    raise
                attempt += 1
            else:
                self._progress.in_flight = False
                self._progress.acknowledged = True
                return int(result.affected_rows)

    async def define(self, sql: str) -> None:
        """Run a statement that creates a table."""
        await self._connection.run_once(sql)


class Server:
    """The MySQL that one resource is kept in."""

    def __init__(self, address: Address, options: StoreOptions) -> None:
        self._address = address
        self._timeout = options.timeout
        self._pool = ConnectionPool(self._connect, options.pool_size)
        self.failures = Failures(
            address.place, f"{address.database}.{address.table}", options.timeout
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Give a session for one call, until its time is up; raises the errors of a store."""
        progress = Progress()
        try:
            async with asyncio.timeout(self._timeout), self._pool.lend() as connection:
                yield Session(connection, progress)
        except TimeoutError as error:
            raise self.failures.too_slow(progress) from error
        except MySQLError as error:
            raise self.failures.failure(error, progress) from error

    async def create_database(self) -> bool:
        """Create the database when it is absent; tell whether it was."""
        try:
            async with asyncio.timeout(self._timeout):
                try:
                    connection = await self._connect()
                except MySQLError as error:
                    if code_of(error) != UNKNOWN_DATABASE:
                        raise
                else:
                    await connection.ensure_closed()
                    return False
                connection = await self._connect(to_database=False)
                try:
                    database = quoted(self._address.database)
                    await connection.query(
                        f"CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET utf8mb4"
                    )
                finally:
                    connection.close()
        except TimeoutError as error:
            raise self.failures.too_slow(Progress()) from error
        except MySQLError as error:
            raise self.failures.failure(error, Progress()) from error
        return True

    def pool(self) -> PoolStatus:
        """See Pooled."""
        return self._pool.status()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    async def _connect(self, *, to_database: bool = True) -> Driver:
        address = self._address
        try:
            return await asyncmy.connect(
                host=address.host,
                port=address.port,
                user=address.user,
                password=address.password.encode(),  # asyncmy takes a str for Latin-1
                database=address.database if to_database else None,
                charset="utf8mb4",
                connect_timeout=self._timeout,
                init_command=self._session_settings(),
                autocommit=None,
                client_flag=FOUND_ROWS,
                ssl=address.tls,
                program_name="springfield",
            )
        except RuntimeError as error:  # closed at once, it has no socket to be tuned any more
            raise OperationalError(CR_SERVER_LOST, "the server hung up") from error

    def _session_settings(self) -> str:
        # The comments are code: the first for MariaDB alone, the second for MySQL 8 alone. They
        # end what goes on in the server after its client has given up.
        lock_wait = max(1, int(self._timeout / 2))
        return (
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1, "
            f"innodb_lock_wait_timeout = {lock_wait}, lock_wait_timeout = {lock_wait} "
            f"/*M!100101 , max_statement_time = {self._timeout:f} */"
            f"/*!80000 , max_execution_time = {int(self._timeout * 1000)} */"
        )

"""In charge of the connections to MySQL: at most so many, and none reused that may be out of step.

A connection goes back to the pool only after a command that ended well. Before it is lent again it
is asked whether the server has closed it meanwhile, so that no statement is lost on a dead one.
"""

import asyncio
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from asyncmy.constants.CR import CR_SERVER_LOST
from asyncmy.errors import OperationalError

from springfield.stores.places import Places
from springfield.stores.store import PoolStatus

IDLE_LIMIT = 240.0
"""Seconds after which an idle connection is dropped: load balancers forget theirs after 350."""

_QUIT_DEADLINE = 1.0

Driver = Any
"""asyncmy.Connection, whose stubs leave out what is used here."""

Connect = Callable[[], Awaitable[Driver]]


class Connection:
    """One connection to the server, with the statements that it has prepared."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._statements: dict[str, Any] = {}
        self._idle_since = 0.0
        # asyncmy gives its transport no public name; its own pool looks there too.
        self._transport: asyncio.Transport = driver._transport  # noqa: SLF001
        if self._transport.is_closing():  # the server has hung up already
            raise OperationalError(CR_SERVER_LOST, "the server hung up")
        self._poll = select.poll()
        self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)

    async def run(self, sql: str, arguments: Sequence[Any] = ()) -> Any:
        """Run one statement with `?` for each argument; the result has rows and affected_rows.

        It stays prepared as long as the connection lives, so callers keep the texts few. Arguments
        travel as they are: no quoting, which costs the text protocol 70 ms of CPU for 1 MiB.
        """
        await self.prepare(sql)
        return await self._statements[sql].execute(tuple(arguments))

    async def prepare(self, sql: str) -> None:
        """Have the statement ready to run; nothing of it is done yet."""
        if sql not in self._statements:
            self._statements[sql] = await self._driver.prepare(sql)

    async def run_once(self, sql: str) -> None:
        """Run a statement that is not worth preparing, such as one that creates a table."""
        await self._driver.query(sql)

    def rest(self) -> None:
        """Note the time from which the connection is idle."""
        self._idle_since = asyncio.get_running_loop().time()

    def is_usable(self) -> bool:
        """Tell whether an idle connection still stands.

        The server says nothing to an idle client but its farewell, so whatever can be read, or was
        read by the event loop already, is the end. Asking the kernel covers what came since.
        """
        idle = asyncio.get_running_loop().time() - self._idle_since
        return idle < IDLE_LIMIT and not self._driver._stream_broken and not self._poll.poll(0)  # noqa: SLF001

    def close(self) -> None:
        """Drop the connection without a word; whatever was under way is lost to us."""
        self._driver.close()
        self._transport.abort()  # or it would try to send what is left, for as long as TCP does

    async def quit(self) -> None:
        """Say goodbye to the server, so that it counts no aborted client."""
        try:
            async with asyncio.timeout(_QUIT_DEADLINE):
                await self._driver.ensure_closed()
        except TimeoutError:
            self.close()


class ConnectionPool:
    """At most `size` connections, made when they are needed.

    Order
        Who waits longest is served first; the connection that was used last is lent first.

    Cancellation
        A caller that leaves `lend` by any exception, its cancellation included, takes the
        connection with it: it is closed. The caller brings the deadline.

    Rejected
        asyncmy's own pool: it makes connections one after the other under one lock, so that one
        that hangs stops every caller; it keeps a connection whose command failed half-way; and it
        learns of a closed one only through the event loop, after a write was sent.
    """

    def __init__(self, connect: Connect, size: int) -> None:
        self._connect = connect
        self._places = Places(size)
        self._idle: list[Connection] = []
        self._is_closed = False

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """Lend a connection that stands; raises what connecting raises."""
        async with self._places:
            connection = self._take_idle() or Connection(await self._connect())
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            if self._is_closed:
                connection.close()
            else:
                connection.rest()
                self._idle.append(connection)

    def status(self) -> PoolStatus:
        """See Pooled."""
        places = self._places
        idle = len(self._idle)
        return PoolStatus(places.size, places.in_use + idle, places.in_use, places.waiting)

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            connection.close()
        return None

    async def close(self) -> None:
        """Close what is idle now, and the rest as it comes back."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle))

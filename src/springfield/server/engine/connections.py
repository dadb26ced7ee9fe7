"""In charge of all connections of one server: what they share, and their deadlines.

A connection only writes down its deadline, which costs next to nothing; one coarse timer looks at
all of them. 10,000 connections cost about a millisecond a tick.
"""

import asyncio
from collections.abc import Callable

from tornado.httputil import HTTPServerConnectionDelegate

from springfield.observability.events import RequestFinished
from springfield.server.engine.departures import Departures
from springfield.server.engine.familiar import FamiliarHeads
from springfield.server.limits import Limits

READ_SIZE = 64 * 1024

Tell = Callable[[RequestFinished], None]


def nobody(_: RequestFinished) -> None:
    """Nobody wants to know: the admin listener's own requests are not counted."""


class Closable:
    """A connection, as the server knows it."""

    __slots__ = ()

    def check(self, now: float) -> None:
        """Act if a deadline is before `now`, by the loop's clock."""
        raise NotImplementedError

    def retire(self) -> bool:
        """Close if nothing is asked; tell whether a request is still expected to come."""
        raise NotImplementedError

    def end(self) -> None:
        """Close once what was written is taken; a request in flight is given up."""
        raise NotImplementedError

    def cut(self) -> None:
        """Close without waiting for anything."""
        raise NotImplementedError


class Connections:
    """The open connections, and what each of them needs of the server."""

    def __init__(
        self, delegate: HTTPServerConnectionDelegate, limits: Limits, tell: Tell = nobody
    ) -> None:
        self.delegate = delegate
        self.limits = limits
        self.tell = tell
        """Whom to tell of a request that no delegate answered."""
        self.is_stopping = False
        """Whether answers say `Connection: close`."""
        self.inbox = memoryview(bytearray(READ_SIZE))
        """Where every connection reads into: each takes its bytes out before another one reads."""
        self.familiar = FamiliarHeads(limits)
        self.departures = Departures()
        self._open: set[Closable] = set()
        self._emptied = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def count(self) -> int:
        """How many are open. Any thread may ask."""
        return len(self._open)

    def add(self, connection: Closable) -> None:
        """Take note of a new connection."""
        self._open.add(connection)
        self._emptied.clear()

    def discard(self, connection: Closable) -> None:
        """Take note that a connection is gone."""
        self._open.discard(connection)
        if not self._open:
            self._emptied.set()

    def watch(self) -> None:
        """Look at the deadlines in every tick: a tenth of the shortest timeout, at most 1 s."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(self.limits.shortest / 10, 1.0), self._look)

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        try:
            for connection in tuple(self._open):
                connection.check(now)
        finally:
            self.watch()

    def retire(self) -> int:
        """Close those that are idle; return how many are to have their first request yet."""
        return sum(connection.retire() for connection in tuple(self._open))

    async def close(self, patience: float) -> None:
        """Close all; answers that are written have `patience` seconds to be taken."""
        try:
            for connection in tuple(self._open):
                connection.end()
            if not await self._are_gone(patience):
                for connection in tuple(self._open):
                    connection.cut()
                await self._are_gone(patience)
        finally:
            if self._timer is not None:
                self._timer.cancel()

    async def _are_gone(self, patience: float) -> bool:
        if self._open:
            try:
                async with asyncio.timeout(patience):
                    await self._emptied.wait()
            except TimeoutError:
                return False
        return True

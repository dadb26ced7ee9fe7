"""In charge of what was written and the client has not taken yet.

A write resolves when the kernel has taken all of it, as far as the event loop can tell, so that
nobody produces faster than a client reads. A small one waits for the end of the turn (`departures.py`),
and nobody waits for it.
"""

import asyncio
import sys
from fcntl import ioctl
from math import inf
from termios import TIOCOUTQ

from tornado.iostream import StreamClosedError

from springfield.server.engine.departures import Departures

TURN = 256 * 1024
"""Bytes that one connection may write before the others have a turn."""
GATHERED = 16 * 1024
"""Bytes up to which a write may wait for the end of the turn."""
WRITE_COST = 1024
"""What a write counts beside its bytes."""


class Outflow:
    """The way out of one connection."""

    __slots__ = (
        "_departures",
        "_drained",
        "_is_lost",
        "_loop",
        "_pending",
        "_taken",
        "_timeout",
        "_transport",
        "_unshared",
        "_written",
        "deadline",
        "is_paused",
    )

    def __init__(
        self, transport: asyncio.Transport, timeout: float, departures: Departures
    ) -> None:
        self._transport = transport
        self._timeout = timeout
        self._departures = departures
        self._pending = b""  # until the end of the turn
        self._loop = asyncio.get_running_loop()
        self._drained: asyncio.Future[None] | None = None
        self._written = 0
        self._taken = 0
        self._unshared = 0
        self._is_lost = False
        self.is_paused = False
        """Whether something waits to be taken."""
        self.deadline = inf
        """When the client must have taken at least one more byte; the loop's clock."""

    def begin(self) -> None:
        """Have the transport tell of every byte that the kernel does not take at once.

        It may call `pause` at once: TLS has more to say behind its handshake. And a high mark of 0
        would make asyncio's TLS transport pause with nothing to wait for.
        """
        self._transport.set_write_buffer_limits(high=1, low=0)

    def write(self, data: bytes) -> asyncio.Future[None]:
        """Write; the future resolves when it was taken, with StreamClosedError if it never will."""
        if self._is_lost or self._transport.is_closing():  # closing: the loop has yet to tell us
            return self.failed()
        size = len(data)
        self._written += size
        if self._pending:
            self._pending += data
            if len(self._pending) > GATHERED:
                self.leave()
        elif size <= GATHERED and not self.is_paused and self._departures.are_gathered():
            self._pending = data
            self._departures.add(self)
        else:
            self._transport.write(data)
        if not self.is_paused:
            self._unshared += size + WRITE_COST
            return self._departures.done if self._unshared < TURN else self._next_turn()
        if self._drained is None or self._drained.done():  # whoever waited may have been cancelled
            self._drained = self._loop.create_future()
        return self._drained

    def leave(self) -> None:
        """Hand what waits for the end of the turn to the kernel."""
        pending, self._pending = self._pending, b""
        if pending and not self._transport.is_closing():
            self._transport.write(pending)

    def _next_turn(self) -> asyncio.Future[None]:
        # Who awaits a future that is done gives nobody else a turn: a fast client, or one that is
        # gone, would keep a streaming handler running for ever.
        self._unshared = 0
        future: asyncio.Future[None] = self._loop.create_future()
        self._loop.call_soon(_succeed, future)
        return future

    def failed(self) -> asyncio.Future[None]:
        """Return what a write on a closed connection gives."""
        future: asyncio.Future[None] = self._loop.create_future()
        _fail(future)
        return future

    def pause(self) -> None:
        """Take note that the kernel did not take everything."""
        self.is_paused = True
        self._taken = self._count_taken()
        self.deadline = self._loop.time() + self._timeout

    def resume(self) -> None:
        """Everything was taken."""
        self.is_paused = False
        self.deadline = inf
        if self._drained is not None:
            _succeed(self._drained)

    def is_stuck(self, now: float) -> bool:
        """Tell, past the deadline, whether the client took nothing since; else set a new one."""
        taken = self._count_taken()
        if taken <= self._taken:
            return True
        self._taken = taken
        self.deadline = now + self._timeout
        return False

    def _count_taken(self) -> int:
        """Return how many bytes the client's kernel has acknowledged, as far as ours tells.

        Ours takes megabytes and asks for more only when a third of them is gone: by what it takes,
        a client that reads 20 KB a second would not be told from one that reads nothing.
        """
        sock = self._transport.get_extra_info("socket")
        try:
            queued = ioctl(sock.fileno(), TIOCOUTQ, bytes(4))
        except OSError:  # closed, or not of a platform that tells
            queued = b""
        waiting = self._transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)
        return self._written - waiting

    def lose(self) -> None:
        """Take note that the connection is gone, and wake up who waits."""
        self._is_lost = True
        self.deadline = inf
        if self._drained is not None and not self._drained.done():
            _fail(self._drained)


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None]) -> None:
    future.set_exception(StreamClosedError())
    future.exception()  # it is no defect when nobody looks

"""In charge of a connection whose last answer is written while the client may still be sending.

A socket that is closed with unread bytes resets the connection, and the client may lose an answer
that it has not read yet (RFC 9112, section 9.6). So what comes is read away, within bounds, until
the client closes.
"""

import asyncio
from collections.abc import Callable

from springfield.server.engine.connection import Connection
from springfield.server.engine.connections import Connections
from springfield.server.engine.outflow import Outflow
from springfield.server.peer import Peer


class Lingering(Connection):
    """The last state of a connection: `transport.set_protocol(Lingering(…))`, then `begin`."""

    __slots__ = ("_left", "_on_lost")

    def __init__(
        self,
        connections: Connections,
        transport: asyncio.Transport,
        context: Peer,
        outflow: Outflow,
        on_lost: Callable[[], None],
    ) -> None:
        super().__init__(connections)
        self._transport = transport
        self.context = context
        self.outflow = outflow
        self._on_lost = on_lost
        self._left = self._limits.linger_size

    def begin(self, discarded: int) -> None:
        """Say that no more is sent; `discarded` bytes were read away already."""
        self._left -= discarded
        self._set_deadline(self._limits.linger_timeout)
        self._connections.add(self)
        self.outflow.leave()
        if self._transport.can_write_eof():  # with TLS there is no such thing
            self._transport.write_eof()
        self._transport.resume_reading()

    def buffer_updated(self, nbytes: int) -> None:
        """Forget what was read."""
        self._left -= nbytes
        if self._left < 0:
            self.end()

    def eof_received(self) -> None:
        """Close: the client has closed, or has sent everything and will read its answer."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whom it concerns."""
        super().connection_lost(exc)
        self._on_lost()

    def expire(self) -> None:
        """Cut the connection, unless the answer is still being taken."""
        if self.outflow.is_paused:
            self._set_deadline(self._limits.linger_timeout)
        else:
            self.cut()

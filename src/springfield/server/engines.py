"""In charge of the choice between the wire engines. The lifecycle treats both alike."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerConnectionDelegate
from tornado.iostream import IOStream, SSLIOStream
from tornado.netutil import ssl_wrap_socket

from springfield.server.acceptor import Acceptor
from springfield.server.closing import EndingConnections
from springfield.server.engine.connections import Tell, nobody
from springfield.server.engine.server import HttptoolsServer
from springfield.server.limits import Limits
from springfield.server.proxy import BehindProxies, TrustedProxies

EngineName = Literal["httptools", "tornado"]


class Engine(Protocol):
    """What serves an application on sockets.

    Order: `start`, `stop_listening`, `close_idle_connections`, `close_all_connections`; each once.
    """

    @property
    def connections(self) -> int:
        """How many connections are open. Any thread may ask."""

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on `sockets`, which listen already."""

    def stop_listening(self) -> None:
        """Close the sockets; who is connected by then, if only to the kernel, is still answered."""

    async def close_idle_connections(self, patience: float) -> None:
        """Close who asks for nothing; who has just connected has `patience` seconds to ask."""

    async def close_all_connections(self) -> None:
        """Close the connections; requests in flight are given up."""


_NEWCOMER = 0.2
"""Seconds since the last connection after which Tornado's engine takes all first requests as come:
it cannot be asked who has not sent one."""

log = logging.getLogger("springfield.server")


class TornadoServer:
    """Tornado's own HTTPServer as an Engine."""

    def __init__(
        self,
        delegate: HTTPServerConnectionDelegate,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits
        self._tls = tls
        self._last_taken = 0.0
        self._server = HTTPServer(
            EndingConnections(delegate),
            ssl_options=tls,
            # Handlers answer 413 by themselves; Tornado's own limit would send a bare 400.
            max_body_size=2**62,
            max_header_size=limits.head_size,
            idle_connection_timeout=limits.idle_timeout,
        )

    @property
    def connections(self) -> int:
        """See Engine."""
        return len(self._server._connections)  # noqa: SLF001 - there is no public count

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """See Engine."""
        self._acceptor = Acceptor(self._take, self._limits.accepted_at_once)
        self._acceptor.start(sockets)

    def stop_listening(self) -> None:
        """See Engine."""
        self._acceptor.stop()

    async def close_idle_connections(self, patience: float) -> None:
        """See Engine; idle ones are closed with all others."""
        since = asyncio.get_running_loop().time() - self._last_taken
        await asyncio.sleep(min(patience, max(0.0, _NEWCOMER - since)))

    async def close_all_connections(self) -> None:
        """See Engine."""
        await self._server.close_all_connections()

    def _take(self, connection: socket.socket, address: Any) -> None:
        self._last_taken = asyncio.get_running_loop().time()
        try:
            self._server.handle_stream(self._stream(connection), address)
        except OSError as error:  # it went away
            log.debug("a connection did not open: %s", error)
            connection.close()

    def _stream(self, connection: socket.socket) -> IOStream:
        if self._tls is None:
            return IOStream(connection)
        wrapped = ssl_wrap_socket(
            connection, self._tls, server_side=True, do_handshake_on_connect=False
        )
        return SSLIOStream(wrapped)


def make_engine(
    name: EngineName,
    application: HTTPServerConnectionDelegate,
    limits: Limits,
    tls: ssl.SSLContext | None = None,
    trusted: TrustedProxies | None = None,
    *,
    tell: Tell = nobody,
) -> Engine:
    """Return the engine called `name`, serving `application`.

    `tell` is called with each request that the engine refuses by itself; Tornado's tells of none.
    """
    if trusted is not None and (trusted.networks or trusted.includes_unix_socket):
        application = BehindProxies(application, trusted)
    if name == "httptools":
        return HttptoolsServer(application, limits, tls, tell)
    return TornadoServer(application, limits, tls)

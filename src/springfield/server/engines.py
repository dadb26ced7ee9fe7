"""In charge of the choice between the wire engines. The lifecycle treats both alike."""

import socket
import ssl
from collections.abc import Sequence
from typing import Literal, Protocol

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerConnectionDelegate

from springfield.server.engine.server import HttptoolsServer
from springfield.server.limits import Limits
from springfield.server.proxy import BehindProxies, TrustedProxies

EngineName = Literal["httptools", "tornado"]


class Engine(Protocol):
    """What serves an application on sockets.

    Order: `start`, `stop_listening`, `close_all_connections`; each once.
    """

    @property
    def connections(self) -> int:
        """How many connections are open. Any thread may ask."""

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on `sockets`, which are bound."""

    def stop_listening(self) -> None:
        """Accept no more; requests on open connections are still answered."""

    async def close_all_connections(self) -> None:
        """Close the connections; requests in flight are given up."""


class TornadoServer:
    """Tornado's own HTTPServer as an Engine."""

    def __init__(
        self,
        delegate: HTTPServerConnectionDelegate,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._server = HTTPServer(
            delegate,
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
        self._server.add_sockets(sockets)

    def stop_listening(self) -> None:
        """See Engine."""
        self._server.stop()

    async def close_all_connections(self) -> None:
        """See Engine."""
        await self._server.close_all_connections()


def make_engine(
    name: EngineName,
    application: HTTPServerConnectionDelegate,
    limits: Limits,
    tls: ssl.SSLContext | None = None,
    trusted: TrustedProxies | None = None,
) -> Engine:
    """Return the engine called `name`, serving `application`."""
    if trusted is not None:
        application = BehindProxies(application, trusted)
    server = HttptoolsServer if name == "httptools" else TornadoServer
    return server(application, limits, tls)

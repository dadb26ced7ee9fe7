"""In charge of Springfield's own engine as a whole: its sockets and its connections."""

import asyncio
import socket
import ssl
from collections.abc import Sequence

from tornado.httputil import HTTPServerConnectionDelegate

from springfield.server.engine.connections import Connections
from springfield.server.engine.protocol import WireProtocol
from springfield.server.limits import Limits

BACKLOG = 1024
TLS_TIMEOUT = 10.0
"""Seconds for a TLS handshake, and for TLS's own goodbye."""


class HttptoolsServer:
    """Serves `delegate`, such as a Tornado application; satisfies `Engine`."""

    def __init__(
        self,
        delegate: HTTPServerConnectionDelegate,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._connections = Connections(delegate, limits)
        self._tls = tls
        self._servers: list[asyncio.Server] = []

    @property
    def connections(self) -> int:
        """How many connections are open. Any thread may ask."""
        return self._connections.count

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on `sockets`, which are bound."""
        loop = asyncio.get_running_loop()
        seconds = None if self._tls is None else TLS_TIMEOUT
        for sock in sockets:
            create = loop.create_server
            if sock.family == socket.AF_UNIX:
                create = loop.create_unix_server  # type: ignore[assignment]
            server = await create(
                lambda: WireProtocol(self._connections),
                sock=sock,
                ssl=self._tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=seconds,
            )
            self._servers.append(server)
        self._connections.watch()

    def stop_listening(self) -> None:
        """Accept no more; what is answered from now on says `Connection: close`."""
        self._connections.is_stopping = True
        for server in self._servers:
            server.close()

    async def close_all_connections(self) -> None:
        """Close the connections; requests in flight are given up, answers have a second to go."""
        await self._connections.close(patience=1.0)

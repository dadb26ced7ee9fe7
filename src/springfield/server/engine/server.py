"""In charge of Springfield's own engine as a whole: its sockets and its connections."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from typing import Any

from tornado.httputil import HTTPServerConnectionDelegate

from springfield.server.acceptor import Acceptor
from springfield.server.engine.connections import Connections, Tell, nobody
from springfield.server.engine.protocol import WireProtocol
from springfield.server.limits import Limits

TLS_TIMEOUT = 10.0
"""Seconds for a TLS handshake, and for TLS's own goodbye."""

log = logging.getLogger("springfield.server")


class HttptoolsServer:
    """Serves `delegate`, such as a Tornado application; satisfies `Engine`."""

    def __init__(
        self,
        delegate: HTTPServerConnectionDelegate,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
        tell: Tell = nobody,
    ) -> None:
        """Take what to serve; `tell` is called with each request that the engine itself refuses."""
        self._connections = Connections(delegate, limits, tell)
        self._limits = limits
        self._tls = tls
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many connections are open. Any thread may ask."""
        return self._connections.count

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """See Engine."""
        self._acceptor = Acceptor(self._take, self._limits.accepted_at_once)
        self._acceptor.start(sockets)
        self._connections.watch()

    def stop_listening(self) -> None:
        """See Engine; what is answered from now on says `Connection: close`."""
        self._connections.is_stopping = True
        self._acceptor.stop()

    async def close_idle_connections(self, patience: float) -> None:
        """See Engine."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while self._connections.retire() or self._opening:
            if loop.time() >= until:
                break
            await asyncio.sleep(0.01)

    async def close_all_connections(self) -> None:
        """See Engine; answers have a second to go."""
        for task in self._opening:
            task.cancel()
        await self._connections.close(patience=1.0)

    def _take(self, connection: socket.socket, _: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._open(connection))
        self._opening.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        seconds = None if self._tls is None else TLS_TIMEOUT
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: WireProtocol(self._connections),
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=seconds,
            )
        except OSError as error:  # it went away, or what it speaks is no TLS
            log.debug("a connection did not open: %s", error)
            connection.close()

"""In charge of the admin listener: a thread of its own with an event loop of its own.

It answers also while the serving loop is blocked or has too much to do, and says so.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager

from tornado.httputil import HTTPServerConnectionDelegate

from springfield.server.engine.server import HttptoolsServer
from springfield.server.limits import Limits
from springfield.server.listener import listen_tcp, listening_unix
from springfield.server.loop import new_event_loop
from springfield.settings.table import Settings
from springfield.web.safety import Safety, is_loopback_name

log = logging.getLogger("springfield.server")

NEWCOMER_PATIENCE = 0.5
"""Seconds for the request of a connection that was accepted just before the end."""

ANSWER_PATIENCE = 2.0
"""Seconds that requests in flight have to be answered at the end; a probe waits no longer."""


def admin_sockets(settings: Settings, listening: ExitStack) -> list[socket.socket]:
    """Bind what the settings say, if anything; raises CannotListen."""
    sockets: list[socket.socket] = []
    if settings.admin_port is not None:
        bound = listen_tcp(settings.admin_host, settings.admin_port, "--admin-")
        sockets += [listening.enter_context(each) for each in bound]
        log.info("the admin listener is at http://%s:%d", *sockets[0].getsockname()[:2])
    if settings.admin_socket is not None:
        sockets.append(listening.enter_context(listening_unix(settings.admin_socket)))
        log.info("the admin listener is at unix:%s", settings.admin_socket)
    return sockets


def admin_safety(sockets: Sequence[socket.socket]) -> Safety:
    """Return what a listener on `sockets` refuses: on loopback addresses other Hosts (DNS rebinding)."""
    hosts = [each.getsockname()[0] for each in sockets if each.family != socket.AF_UNIX]
    return Safety(bool(hosts) and all(map(is_loopback_name, hosts)), read_only=False)


async def finish(engine: HttptoolsServer) -> None:
    """Listen no more, answer who has asked by now, and close."""
    loop = asyncio.get_running_loop()
    engine.stop_listening()
    await engine.close_idle_connections(NEWCOMER_PATIENCE)
    until = loop.time() + ANSWER_PATIENCE
    while engine.connections:
        if loop.time() >= until:
            break
        await asyncio.sleep(0.01)
    await engine.close_all_connections()


@asynccontextmanager
async def administering(
    sockets: Sequence[socket.socket], application: HTTPServerConnectionDelegate
) -> AsyncIterator[None]:
    """Serve `application` on `sockets`, which are bound, until the context is left."""
    if not sockets:
        yield
        return
    listener = _Listener(sockets, application)
    listener.start()
    await asyncio.wrap_future(listener.has_started)
    try:
        yield
    finally:
        listener.end()
        await asyncio.to_thread(listener.join)


class _Listener(threading.Thread):
    """The thread. A daemon: it must not keep a process alive that has failed otherwise."""

    def __init__(
        self, sockets: Sequence[socket.socket], application: HTTPServerConnectionDelegate
    ) -> None:
        super().__init__(name="springfield-admin", daemon=True)
        self.has_started: Future[None] = Future()
        self._sockets = sockets
        self._application = application
        self._loop: asyncio.AbstractEventLoop
        self._is_over: asyncio.Event

    def run(self) -> None:
        """See Thread."""
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            if self.has_started.done():
                raise
            self.has_started.set_exception(error)

    def end(self) -> None:
        """Stop it, from another thread; see `finish`."""
        self._loop.call_soon_threadsafe(self._is_over.set)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_over = asyncio.Event()
        engine = HttptoolsServer(self._application, Limits())
        await engine.start(self._sockets)
        self.has_started.set_result(None)
        await self._is_over.wait()
        await finish(engine)

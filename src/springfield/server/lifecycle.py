"""In charge of the service's life: bind, assemble, serve, drain, stop. Stopping mirrors starting."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from springfield.assembly import assemble
from springfield.settings import Settings
from springfield.web.routes import Service, make_app

HEADER_LIMIT = 64 * 1024
IDLE_TIMEOUT = 75.0
"""Seconds that a connection may be idle, or take to send a request's head."""

log = logging.getLogger("springfield.server")


class CannotStart(Exception):
    """The process cannot start; the sentence says what to change."""


async def serve(settings: Settings, announce: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and close everything.

    `announce` is called with the port once requests are answered. A second signal ends the process
    at once. Raises CannotStart and the errors of `assemble`.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop, number)
    sockets = bind(settings.host, settings.port)
    try:
        _make_data_dir(settings)
        async with assemble(settings) as service, _listening(service, sockets, settings):
            announce(sockets[0].getsockname()[1])
            await stop.wait()
            log.info("stopping: %d requests in flight", service.traffic.in_flight)
    finally:
        for each in sockets:
            each.close()


def bind(host: str, port: int) -> list[socket.socket]:
    """Bind and listen; raise CannotStart with a sentence when that is impossible."""
    try:
        return bind_sockets(port, host, backlog=1024)
    except socket.gaierror as error:
        raise CannotStart(
            f"The host {host!r} is not known ({error.strerror}); choose another with --host."
        ) from error
    except OSError as error:
        raise CannotStart(
            f"Port {port} of {host} cannot be bound ({os.strerror(error.errno or 0)}); stop what "
            "uses it, or choose another with --port."
        ) from error


@asynccontextmanager
async def _listening(
    service: Service, sockets: list[socket.socket], settings: Settings
) -> AsyncIterator[None]:
    server = HTTPServer(
        make_app(service),
        # Ours answer 413 by themselves; Tornado's own limit would send a bare 400.
        max_body_size=2**62,
        max_header_size=HEADER_LIMIT,
        idle_connection_timeout=IDLE_TIMEOUT,
    )
    server.add_sockets(sockets)
    try:
        yield
    finally:
        server.stop()
        left = await service.traffic.drain(settings.shutdown_timeout)
        if left:
            log.warning("stopping: %d requests did not finish in time", left)
        await server.close_all_connections()


def _stop(stop: asyncio.Event, number: int) -> None:
    if stop.is_set():
        os._exit(128 + number)  # the second signal: somebody does not want to wait
    stop.set()


def _make_data_dir(settings: Settings) -> None:
    here = settings.data_dir.absolute()
    if not any(str(here) in binding.url for binding in settings.bindings):
        return
    try:
        here.mkdir(parents=True, exist_ok=True)
        probe = here / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotStart(
            f"The data directory {here} cannot be written ({error.strerror}); choose another with "
            "--data-dir."
        ) from error

"""In charge of the service's life: bind, assemble, serve, drain, stop. Stopping mirrors starting."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

from tornado.web import Application

from springfield.assembly import assemble
from springfield.observability.metrics import Metrics
from springfield.observability.telemetry import observing
from springfield.server.admin import admin_safety, admin_sockets, administering
from springfield.server.engines import Engine, make_engine
from springfield.server.hangup import on_hangup
from springfield.server.limits import Limits
from springfield.server.listener import CannotListen, listen_tcp, listening_unix
from springfield.server.loop import new_event_loop
from springfield.server.operations import Operations
from springfield.server.proxy import TrustedProxies
from springfield.server.reload import Loaded, Reloading
from springfield.server.tls import BadCertificate, Certificate
from springfield.settings.table import Settings
from springfield.web.admin.routes import make_admin_app
from springfield.web.admission import Admission
from springfield.web.routes import Service, make_app

log = logging.getLogger("springfield.server")


class CannotStart(Exception):
    """The process cannot start; the sentence says what to change."""


def run(loaded: Loaded, load: Callable[[], Loaded], announce: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and close everything.

    `load` reads the settings anew, for a reload. `announce` is called with the port once requests are answered. A second signal ends the process
    at once. Raises CannotStart and the errors of `assemble`.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(loaded, load, announce))


async def serve(
    loaded: Loaded, load: Callable[[], Loaded], announce: Callable[[int], None]
) -> None:
    """Do what `run` promises, on the loop that runs."""
    _raise_descriptor_limit()
    settings = loaded.settings
    life, reloading = _Life(), Reloading(loaded, load)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, life.end, number)
    on_hangup(reloading.reload, life.end)
    with (
        ExitStack() as listening,
        observing(settings.slow_request, settings.blocked_loop) as telemetry,
    ):
        operations = Operations(reloading, telemetry, life.stop.is_set)
        try:
            sockets = _listen(settings, listening)
            for_admin = admin_sockets(settings, listening)
            certificate = reloading.certificate = _certificate(settings)
            trusted = TrustedProxies.parse(settings.trusted_proxies)
        except (CannotListen, BadCertificate, ValueError) as error:
            raise CannotStart(str(error)) from error
        _make_data_dir(settings)
        admin = make_admin_app(operations.admin(admin_safety(for_admin)))
        try:
            async with administering(for_admin, admin), assemble(settings, telemetry) as service:
                app = make_app(service)
                tls = None if certificate is None else certificate.context
                admission = Admission(app, service.traffic, service.events, settings.max_requests)
                reloading.tell(tunables(service, app, admission))
                reloading.open()
                engine = make_engine(settings.engine, admission, Limits(), tls, trusted)
                watch_connections(telemetry.metrics, engine)
                async with _serving(engine, sockets, service, settings.shutdown_timeout):
                    life.has_started = True
                    operations.service = service
                    announce(sockets[0].getsockname()[1])
                    await life.stop.wait()
        except asyncio.CancelledError:
            if not life.stop.is_set():
                raise


def tunables(
    service: Service, app: Application, admission: Admission
) -> Mapping[str, Callable[[Any], None]]:
    """Return who takes new values of settings, by the setting's name."""
    return {
        **service.tunables,
        "wait_limit": partial(app.settings.__setitem__, "wait_limit"),
        "max_requests": partial(setattr, admission, "limit"),
    }


def watch_connections(metrics: Metrics, engine: Engine) -> None:
    """Have the connections of clients counted."""
    text = "Open connections of clients."
    metrics.gauges.add("springfield_connections", text, lambda: engine.connections)


@asynccontextmanager
async def _serving(
    engine: Engine, sockets: Sequence[socket.socket], service: Service, timeout: float
) -> AsyncIterator[None]:
    await engine.start(sockets)
    try:
        yield
    finally:
        engine.stop_listening()
        log.info("stopping: %d requests in flight", service.traffic.in_flight)
        service.traffic.is_draining = True
        service.release_waiters()
        if left := await service.traffic.drain(timeout):
            log.warning("stopping: %d requests did not finish in time", left)
        await engine.close_all_connections()


def _listen(settings: Settings, listening: ExitStack) -> list[socket.socket]:
    sockets = [listening.enter_context(each) for each in listen_tcp(settings.host, settings.port)]
    if settings.unix_socket is not None:
        sockets.append(listening.enter_context(listening_unix(settings.unix_socket)))
    return sockets


def _certificate(settings: Settings) -> Certificate | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_certificate, settings.tls_key)


class _Life:
    """Whether the service has started, and whether it is to stop."""

    def __init__(self) -> None:
        self.has_started = False
        self.stop = asyncio.Event()
        self._serving = asyncio.current_task()

    def end(self, number: int) -> None:
        """Take a signal: the first one stops the service, or its starting; the second kills it."""
        if self.stop.is_set():
            os._exit(128 + number)  # somebody does not want to wait
        self.stop.set()
        if not self.has_started and self._serving is not None:
            self._serving.cancel()


def _raise_descriptor_limit() -> None:
    """Allow as many connections as the system lets this process have: the default is 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # the service works with fewer
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _make_data_dir(settings: Settings) -> None:
    here = settings.data_dir.absolute()
    if not any(quote(str(here)) in binding.url for binding in settings.bindings):
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

"""In charge of the service's life: bind, assemble, serve, drain, stop. Stopping mirrors starting."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from urllib.parse import quote

from springfield.assembly import assemble
from springfield.server.engines import Engine, make_engine
from springfield.server.limits import Limits
from springfield.server.listener import CannotListen, listen_tcp, listening_unix
from springfield.server.loop import new_event_loop
from springfield.server.proxy import TrustedProxies
from springfield.server.tls import BadCertificate, Certificate
from springfield.settings.table import Settings
from springfield.web.admission import Admission
from springfield.web.routes import Service, make_app

log = logging.getLogger("springfield.server")


class CannotStart(Exception):
    """The process cannot start; the sentence says what to change."""


def run(settings: Settings, announce: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and close everything.

    `announce` is called with the port once requests are answered. A second signal ends the process
    at once. Raises CannotStart and the errors of `assemble`.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(settings, announce))


async def serve(settings: Settings, announce: Callable[[int], None]) -> None:
    """Do what `run` promises, on the loop that runs."""
    _raise_descriptor_limit()
    life = _Life()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, life.end, number)
    with ExitStack() as listening:
        try:
            sockets = _listen(settings, listening)
            certificate = _certificate(settings)
            trusted = TrustedProxies.parse(settings.trusted_proxies)
        except (CannotListen, BadCertificate, ValueError) as error:
            raise CannotStart(str(error)) from error
        _make_data_dir(settings)
        if certificate is not None:
            loop.add_signal_handler(signal.SIGHUP, _reload, certificate)
        try:
            async with assemble(settings) as service:
                tls = None if certificate is None else certificate.context
                admission = Admission(
                    make_app(service), service.traffic, service.events, settings.max_requests
                )
                engine = make_engine(settings.engine, admission, Limits(), tls, trusted)
                async with _serving(engine, sockets, service, settings.shutdown_timeout):
                    life.has_started = True
                    announce(sockets[0].getsockname()[1])
                    await life.stop.wait()
        except asyncio.CancelledError:
            if not life.stop.is_set():
                raise


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


def _reload(certificate: Certificate) -> None:
    try:
        certificate.reload()
    except BadCertificate as error:
        log.error("the old certificate is kept: %s", error)  # noqa: TRY400  # it is one sentence
    else:
        log.info("the certificate was read anew")


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

"""In charge of running an engine in a thread of its own, and of raw connections to it."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from springfield.observability.events import RequestFinished
from springfield.server.engines import EngineName, make_engine
from springfield.server.limits import Limits
from springfield.server.listener import listen_tcp, listening_unix
from springfield.server.loop import new_event_loop
from springfield.server.proxy import TrustedProxies
from tests.server.application import Witness, make_application

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": new_event_loop,
}
PATIENCE = 20.0


@dataclass(frozen=True)
class Setup:
    """What is served, and how."""

    engine: EngineName = "httptools"
    loop: str = "asyncio"
    limits: Limits = field(default_factory=Limits)
    tls: ssl.SSLContext | None = None
    trusted: TrustedProxies | None = None
    unix: Path | None = None


class Served:
    """A server in a thread."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.errors: list[str] = []
        self.refused: list[RequestFinished] = []
        """What the engine itself has refused."""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=LOOPS[self.setup.loop]) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self.errors.append(str(context)))
        self.witness = Witness()
        self.stopped = asyncio.Event()
        setup = self.setup
        self.engine = make_engine(
            setup.engine, make_application(self.witness), setup.limits, setup.tls, setup.trusted,
            tell=self.refused.append,
        )  # fmt: skip
        with contextlib.ExitStack() as stack:
            if setup.unix is not None:
                sockets = [stack.enter_context(listening_unix(setup.unix))]
            else:
                sockets = listen_tcp("127.0.0.1", 0)
            self.address = sockets[0].getsockname()
            await self.engine.start(sockets)
            self._ready.set()
            await self.stopped.wait()
            self.engine.stop_listening()
            await self.engine.close_all_connections()

    def call(self, function: Callable[[], object]) -> None:
        """Call `function` in the server's thread, and wait until it was called."""
        done = threading.Event()

        def run() -> None:
            function()
            done.set()

        self.loop.call_soon_threadsafe(run)
        assert done.wait(PATIENCE)

    def open_gate(self) -> None:
        """Let the handlers go on."""
        self.call(self.witness.gate.set)

    def stop(self) -> None:
        """Stop, and wait for it."""
        self.call(self.stopped.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """Return a new connection; `receive_buffer` bounds what the kernel takes in."""
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        sock = socket.socket(family)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE)
        try:
            sock.connect(self.address)
        except OSError:
            sock.close()
            raise
        return sock


@contextlib.contextmanager
def serving(setup: Setup) -> Iterator[Served]:
    """Serve; at the end the event loop must have nothing to complain about."""
    served = Served(setup)
    try:
        yield served
    finally:
        served.stop()
    assert not served.errors, served.errors

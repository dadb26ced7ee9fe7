"""In charge of how a serving process stops: on which signal, and in which order.

Order
    Readiness fails and waiters are released; for the delay new connections are served; nothing is
    listened on; requests in flight finish; connections are closed. The stores are closed by who
    opened them, after that.
"""

import asyncio
import logging
import os
import signal

from springfield.server.engines import Engine
from springfield.web.routes import Service

NEWCOMER_PATIENCE = 1.0
"""Seconds for the first request of a connection that was accepted just before the end."""

log = logging.getLogger("springfield.server")


class Stop:
    """The wish that the service stops. SIGTERM gives it time, SIGINT wants it soon.

    A second signal ends the process at once (128 + its number), unless it is a worker: that obeys its
    supervisor, which kills it when it does not want to wait.
    """

    def __init__(self, *, is_worker: bool = False) -> None:
        """Take signals from now on, for the task and the loop that run."""
        self.has_started = False
        self.is_wanted = asyncio.Event()
        self._is_urgent = asyncio.Event()
        self._is_worker = is_worker
        self._serving = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.take, number)

    async def pause(self, delay: float) -> None:
        """Wait `delay` seconds, or until it is urgent."""
        try:
            async with asyncio.timeout(delay):
                await self._is_urgent.wait()
        except TimeoutError:
            pass

    def take(self, number: int) -> None:
        """Take a signal."""
        if self.is_wanted.is_set() and not self._is_worker:
            os._exit(128 + number)  # somebody does not want to wait
        if number == signal.SIGINT:
            self._is_urgent.set()
        self.is_wanted.set()
        if not self.has_started and self._serving is not None:
            self._serving.cancel()


async def drain(
    engine: Engine, service: Service, stop: Stop, *, delay: float, timeout: float
) -> None:
    """Stop serving; `delay` and `timeout` are seconds, for newcomers and then for who is served."""
    service.drain()
    log.info("draining for %g s: %d requests in flight", delay, service.traffic.in_flight)
    await stop.pause(delay)
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout
    engine.stop_listening()
    service.traffic.is_stopping = True
    service.release_waiters()
    log.info("stopping: %d requests in flight", service.traffic.in_flight)
    await engine.close_idle_connections(min(NEWCOMER_PATIENCE, timeout))
    if left := await service.traffic.finish(max(0.0, until - loop.time())):
        log.warning("stopping: %d requests did not finish in time", left)
    await engine.close_all_connections()

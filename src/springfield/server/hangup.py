"""In charge of SIGHUP: with a terminal it is gone and the service stops; without one it reloads."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine

from springfield.signals import has_terminal

log = logging.getLogger("springfield.server")


def on_hangup(
    reload: Callable[[], Coroutine[None, None, object]], stop: Callable[[int], None]
) -> None:
    """Have SIGHUP call `reload`, or `stop` with its number if the process has a terminal.

    Under nohup(1) in a terminal it stays ignored, as it was wished.
    """
    loop = asyncio.get_running_loop()
    if not has_terminal():
        running: set[asyncio.Task[object]] = set()

        def begin() -> None:
            running.add(task := loop.create_task(reload()))
            task.add_done_callback(running.discard)

        loop.add_signal_handler(signal.SIGHUP, begin)
    elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:

        def end() -> None:
            loop.add_signal_handler(
                signal.SIGHUP, lambda: None
            )  # the kernel and a shell send one each
            stop(signal.SIGHUP)

        loop.add_signal_handler(signal.SIGHUP, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])  # it is, in a worker that starts

"""In charge of catching who blocks the event loop: a thread that looks, and tells where the loop is.

Contract
    A loop that has not turned for `limit` seconds is told once a blockage (LoopBlocked), while it is
    still blocked, with the stack of its thread. How long it took is told by the heartbeat, when the loop
    turns again (LoopTurned).

Defaults
    With `blocked_loop` at 0.25 s the thread wakes four times a second.

Rejected
    asyncio's debug mode: it tells afterwards which callback was slow, not where in it, and makes every
    callback several times dearer. A signal (SIGALRM): it interrupts system calls of the drivers.
"""

import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from springfield.observability.events import Events, LoopBlocked
from springfield.observability.heartbeat import INTERVAL, Heartbeat

FRAMES = 40
"""The innermost frames of the stack that are told."""


@contextmanager
def watching_loop(heartbeat: Heartbeat, events: Events, limit: float) -> Iterator[None]:
    """Watch the loop of `heartbeat`, which beats, until the context is left."""
    watchdog = _Watchdog(heartbeat, events, limit)
    thread = threading.Thread(target=watchdog.run, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watchdog.ending.set()
        thread.join()


class _Watchdog:
    def __init__(self, heartbeat: Heartbeat, events: Events, limit: float) -> None:
        self.ending = threading.Event()
        self._heartbeat = heartbeat
        self._events = events
        # The loop was well for up to one beat after the last one.
        self._limit = limit + INTERVAL

    def run(self) -> None:
        is_told = False
        while not self.ending.wait(self._rest()):
            age = self._heartbeat.age()
            if age < self._limit:
                is_told = False
            elif not is_told:
                is_told = True
                self._events.publish(LoopBlocked(age, self._stack()))

    def _rest(self) -> float:
        """Return how long to sleep: until the loop could be late, if it does not turn from now on."""
        return max(self._limit - self._heartbeat.age(), self._limit / 4)

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._heartbeat.thread)  # noqa: SLF001 - documented
        return "".join(traceback.format_stack(frame, FRAMES)) if frame is not None else ""

"""In charge of knowing when the event loop has turned last; any thread may ask.

The loop itself notes the time, again and again: what does not come is what is seen.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from springfield.observability.events import Events, LoopTurned

INTERVAL = 0.05
"""Seconds between two beats: with the watchdog 0.2 % of a core, measured."""


class Heartbeat:
    """The heartbeat of one event loop."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._last = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self.thread = threading.get_ident()
        """The thread that the loop runs on."""

    def age(self) -> float:
        """Return the seconds since the last beat, 0 to `INTERVAL` on an idle loop. Any thread may ask."""
        return time.monotonic() - self._last

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat on the loop that runs, until the context is left."""
        self.thread = threading.get_ident()
        loop = asyncio.get_running_loop()
        self._last = time.monotonic()
        self._timer = loop.call_later(INTERVAL, self._beat, loop)
        try:
            yield
        finally:
            self._timer.cancel()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        # uvloop's clock has whole milliseconds, so that a timer may be a little early.
        lag = max(0.0, now - self._last - INTERVAL)
        self._last = now
        self._timer = loop.call_later(INTERVAL, self._beat, loop)
        self._events.publish(LoopTurned(lag))

"""In charge of calls that block: each in one of a few threads, under a deadline.

Contract
    At most `size` calls run at once. `run` answers within its deadline even where the call does
    not; such a call keeps its thread until it ends, so that a store that hangs costs `size`
    threads and no more.

Cancellation
    A caller that leaves does not stop the call. What that call holds is closed by `clean_up`,
    which no cancellation reaches and which `close` waits for.

Rejected
    The loop's default executor: one store that hangs would starve all others, and name look-ups.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from springfield.stores.places import Places
from springfield.stores.store import PoolStatus

T = TypeVar("T")


MOMENT = 0.25
"""Seconds that a caller waits for what only closes something: it has had its answer."""


class ThreadsBusyError(Exception):
    """No thread came free in time: the call was not started."""


class Threads:
    """The threads of one store."""

    def __init__(self, size: int, name: str) -> None:
        self.size = size
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=name)
        self.places = Places(size)
        """May also be taken for calls of the same store that need no thread."""
        self._started = 0
        self._running: set[asyncio.Future[Any]] = set()

    async def run(self, call: Callable[[], T], seconds: float) -> T:
        """Return what `call` returns.

        Raises ThreadsBusyError when it could not be started within `seconds`, and TimeoutError
        when it was started and did not end in time.
        """
        running: asyncio.Future[T] | None = None
        try:
            async with asyncio.timeout(seconds):
                await self.places.take()
                running = self._start(call)
                running.add_done_callback(lambda _: self.places.give_back())
                return await asyncio.shield(running)
        except TimeoutError:
            if running is None:
                raise ThreadsBusyError from None
            raise

    def status(self) -> PoolStatus:
        """See Pooled. Threads that were started stay."""
        places = self.places
        return PoolStatus(
            self.size, max(self._started, places.in_use), places.in_use, places.waiting
        )

    async def clean_up(self, call: Callable[[], None], patience: float) -> None:
        """Run `call`, which must not raise, to its end, whatever becomes of the caller.

        Waits up to `patience` seconds for it. A cancelled caller waits no longer.
        """
        await asyncio.wait({self._start(call)}, timeout=patience)

    async def close(self, patience: float) -> None:
        """Wait up to `patience` seconds for what runs, then leave it."""
        try:
            if self._running:
                await asyncio.wait(self._running, timeout=patience)
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _ended(self, running: "asyncio.Future[Any]") -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # else asyncio logs that nobody did, when its caller has left

    def _start(self, call: Callable[[], T]) -> "asyncio.Future[T]":
        running = asyncio.get_running_loop().run_in_executor(self._pool, call)
        self._running.add(running)
        self._started = min(self.size, max(self._started, len(self._running)))
        running.add_done_callback(self._ended)
        return running

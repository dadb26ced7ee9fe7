"""In charge of how many calls to a dependency run at the same time, so that a slow one does not take all.

Contract
    At most `limit` calls are inside. Up to `queue_limit` more wait, first come, first served, for up
    to the seconds that each brings; whoever comes then is turned away at once (`BulkheadFull`).

Order
    Inside the breaker, around the attempt: the time in the queue is not the attempt's.

Cancellation
    Who leaves the queue is forgotten; a place that is given in the same moment goes to the next.

Defaults
    As many places as the pool has connections, and a queue of 1,024.

Rejected
    `asyncio.Semaphore` under `asyncio.timeout`: five microseconds a call, for no bound on its queue.
    No queue: 17 clients of a pool of 16 would be turned away though the store is quick.
"""

import asyncio
from collections import deque


class BulkheadFull(Exception):
    """There is no place, and none came free in time."""


class Bulkhead:
    """The places of one dependency."""

    def __init__(self, limit: int, queue_limit: int) -> None:
        self.limit = limit
        self.queue_limit = queue_limit
        self.in_use = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def queued(self) -> int:
        """How many wait for a place."""
        return len(self._queue)

    def enter_at_once(self) -> bool:
        """Take a place if one is free, and nobody waits for it."""
        if self.in_use >= self.limit or self._queue:
            return False
        self.in_use += 1
        return True

    async def enter(self, seconds: float) -> None:
        """Wait for a place; raise BulkheadFull when the queue is full, or after `seconds`."""
        if len(self._queue) >= self.queue_limit:
            raise BulkheadFull
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._queue.append(turn)
        timer = loop.call_later(seconds, self._expire, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                if turn.exception() is None:
                    self.leave()
            elif turn in self._queue:
                self._queue.remove(turn)
            raise
        finally:
            timer.cancel()

    def leave(self) -> None:
        """Give a place back, to who has waited longest."""
        self.in_use -= 1
        self._fill()

    def resize(self, limit: int, queue_limit: int) -> None:
        """Take other bounds from now on; who is inside or waits already stays."""
        self.limit = limit
        self.queue_limit = queue_limit
        self._fill()

    def _fill(self) -> None:
        while self._queue and self.in_use < self.limit:
            turn = self._queue.popleft()
            if not turn.done():
                self.in_use += 1
                turn.set_result(None)

    def _expire(self, turn: "asyncio.Future[None]") -> None:
        if not turn.done():
            self._queue.remove(turn)
            turn.set_exception(BulkheadFull())

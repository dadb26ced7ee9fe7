"""In charge of one thread with one connection, and of handing calls over to it and answers back.

Contract
    Calls run in the order in which they came. Who waits longer than his `timeout` is answered then: a
    call that has not begun never will (`is_begun` False), one that has goes on. At most `LIMIT` wait.

Cancellation
    As for a call that is late.

Rejected
    `ThreadPoolExecutor` under `asyncio.timeout`: two futures, a task's cancellation and a wake-up of the
    loop for each call, and what is late cannot be told from what was begun.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import Any, TypeVar, cast

import apsw

from springfield.errors import Unavailable
from springfield.stores.sqlite.connection import has_harmed, in_our_words, open_for_writing

T = TypeVar("T")
Work = Callable[[apsw.Connection], T]

LIMIT = 1024
"""Calls that wait for a thread, at most; the bulkhead lets fewer in."""


class CallLate(Exception):
    """The call did not answer in time. `is_begun`: it may do what it was asked to, or has."""

    def __init__(self, *, is_begun: bool) -> None:
        super().__init__()
        self.is_begun = is_begun


class Call:
    """Some work, and who waits for it."""

    __slots__ = ("_claim", "answer", "error", "result", "timeout", "until", "work")

    def __init__(self, work: Work[Any], timeout: float, answer: "asyncio.Future[Any]") -> None:
        self.work = work
        self.timeout = timeout
        self.until = monotonic() + timeout
        self.answer = answer
        self.result: object = None
        self.error: Exception | None = None
        self._claim = Lock()

    @property
    def is_claimed(self) -> bool:
        """Whether it has begun, or never will."""
        return self._claim.locked()

    def claim(self) -> bool:
        """Take it: the thread to begin it, the loop to give it up. The first one may."""
        return self._claim.acquire(blocking=False)

    def give_up(self) -> None:
        """Tell who waits that it is late. Runs on the loop."""
        if not self.answer.done():
            self.answer.set_exception(CallLate(is_begun=not self.claim()))

    def settle(self) -> None:
        """Give the answer to who still waits. Runs on the loop."""
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


class Lane(ABC):
    """One thread with one connection, opened when it is first needed and after each failure."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: apsw.Connection | None = None
        self._queue: SimpleQueue[Call | None] = SimpleQueue()
        self._thread: Thread | None = None

    async def run(self, work: Work[T], timeout: float) -> T:
        """Run `work` in the thread. Raises CallLate, SpringfieldError, and what `work` raises."""
        if self._queue.qsize() >= LIMIT:
            raise Unavailable(f"{LIMIT} calls wait for {self.path} already; nothing was done.")
        loop = asyncio.get_running_loop()
        call = Call(work, timeout, loop.create_future())
        timer = loop.call_later(timeout, call.give_up)
        if self._thread is None:
            self._thread = Thread(target=self._serve, name="sqlite", daemon=True)
            self._thread.start()
        self._queue.put(call)
        try:
            return cast("T", await call.answer)
        finally:
            timer.cancel()
            call.claim()

    def close(self) -> None:
        """Finish the work that was handed over, then close the connection. Blocks."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()

    @abstractmethod
    def _carry(self, call: Call) -> None:
        """Do it, and what may be done with it; settle all of it. Runs in the thread."""

    def _serve(self) -> None:
        while (call := self._queue.get()) is not None:
            self._carry(call)
        self._disconnect()

    def _next(self) -> Call | None:
        """Return a call that waits already."""
        try:
            call = self._queue.get_nowait()
        except Empty:
            return None
        if call is None:
            self._queue.put(None)  # closing: for _serve
        return call

    def _connect(self) -> apsw.Connection:
        if self._connection is None:
            self._connection = open_for_writing(self.path)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(apsw.Error):  # it is gone in any case
                connection.close()

    def _fail(self, call: Call, error: Exception) -> None:
        """Note what went wrong before anything was written."""
        call.error = in_our_words(error, self.path, call.timeout)

    def _settle(self, calls: Sequence[Call]) -> None:
        """Answer all of them with one wake-up of the loop."""
        if calls:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                calls[0].answer.get_loop().call_soon_threadsafe(_settle, calls)


class ReadLane(Lane):
    """A lane for reads: each is done and answered by itself."""

    def _carry(self, call: Call) -> None:
        if not call.claim():
            return
        try:
            connection = self._connect()
            # Shorter than the caller's deadline, so that a locked file is known to be the cause.
            connection.set_busy_timeout(int(call.timeout * 800))
            call.result = call.work(connection)
        except Exception as error:  # noqa: BLE001 - raised by the caller
            self._fail(call, error)
            if has_harmed(error):
                self._disconnect()
        self._settle([call])


def _settle(calls: Sequence[Call]) -> None:
    for call in calls:
        call.settle()

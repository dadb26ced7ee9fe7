"""In charge of reading on the event loop's own thread, and of leaving that when the disk is slow.

Contract
    `read` never waits for a lock, and takes a statement off that has run for `TOO_LONG`. What such reads
    may take together is bounded: over `ALLOWANCE` of slow ones, of which `ALLOWANCE` a second is forgotten,
    reads go to the thread, and so they do while a commit takes longer than `SLOW_COMMIT`. They come back
    after `PAUSE`, when a read in the thread was quick: a slow disk is probed where nobody is held up.

Rejected
    To leave at the first slow read: on a busy machine the kernel takes the thread off for longer than that.
    To come back by the clock alone: each return to a disk that is still slow would hold up the loop.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TypeVar

import apsw

from springfield.stores.sqlite.connection import open_for_reading

T = TypeVar("T")

SLOW = 0.005
"""Seconds of a read on the loop that count as slow."""

ALLOWANCE = 0.025
"""Seconds of slow reads."""

SLOW_IN_THREAD = 0.025
"""Seconds of a name in the thread, where waiting for Python's lock is part of it."""

SLOW_COMMIT = 0.1
"""Seconds of a commit."""

TOO_LONG = 0.01
"""Seconds of a statement."""

PAUSE = 5.0
"""Seconds without reads on the loop after slow ones."""

_STEPS = 10_000
"""Of SQLite's machine, between two looks at the time; a read of one name takes about 25."""


class PromptReads:
    """The connection that the loop's thread reads by. `commit` tells when the current one began."""

    def __init__(self, path: Path, commit: Callable[[], float | None]) -> None:
        self._path = path
        self._commit = commit
        self._connection: apsw.Connection | None = None
        self._is_broken = False
        self._began = 0.0
        self._lost = 0.0
        """Seconds of slow reads that are not forgotten."""
        self._lost_at = 0.0
        self._away_until: float | None = None

    @property
    def is_ready(self) -> bool:
        """Whether `read` may be called."""
        if self._connection is None or self._away_until is not None or self._is_broken:
            return False
        commit = self._commit()
        return commit is None or monotonic() - commit < SLOW_COMMIT

    def read(self, work: Callable[[apsw.Connection], T]) -> T | None:
        """Do `work`; None when it has to be done in the thread, which will tell what is wrong."""
        connection = self._connection
        if connection is None:
            return None
        self._began = monotonic()
        try:
            return work(connection)
        except (apsw.BusyError, apsw.LockedError, apsw.InterruptError):
            return None
        except apsw.Error:
            self._is_broken = True
            return None
        finally:
            seconds = monotonic() - self._began
            if seconds >= SLOW:
                self._lose(seconds)

    def probed(self, seconds: float) -> None:
        """Take note of what a name took in the reading thread; come back if it is time. Runs there."""
        now = monotonic()
        if self._away_until is not None:
            if seconds >= SLOW_IN_THREAD:
                self._away_until = now + PAUSE
            elif now >= self._away_until:
                self._away_until = None
        if self._connection is None or self._is_broken:
            self.close()
            with suppress(apsw.Error):  # reads go on in the thread
                self._connection = self._open()
                self._is_broken = False

    def close(self) -> None:
        """Close the connection. Blocks."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(apsw.Error):
                connection.close()

    def _open(self) -> apsw.Connection:
        connection = open_for_reading(self._path)
        connection.set_progress_handler(lambda: monotonic() - self._began > TOO_LONG, _STEPS)
        return connection

    def _lose(self, seconds: float) -> None:
        now = monotonic()
        forgotten = (now - self._lost_at) * ALLOWANCE
        self._lost = max(0.0, self._lost - forgotten) + seconds
        self._lost_at = now
        if self._lost > ALLOWANCE:
            self._away_until = now + PAUSE

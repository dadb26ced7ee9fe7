"""In charge of durable writes: what waits for the file goes into one transaction, and one fsync.

Contract
    Nobody is answered before the commit. Work that fails is undone by itself, and the others of its
    transaction are not disturbed; a transaction that fails as a whole fails for all of them.

Order
    `BEGIN IMMEDIATE` first, then whatever has come meanwhile: who holds the lock of the file, or the disk,
    makes the next transaction larger, not the line longer.

Rejected
    To wait for company: a lone write would pay for it, and while one commits the next ones gather.
    Savepoints only where there is company: they cost 2 µs where the commit costs hundreds.
"""

from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import apsw

from springfield.errors import OutcomeUnknown
from springfield.stores.sqlite.connection import has_harmed
from springfield.stores.sqlite.lane import Call, Lane

TOGETHER = 256
"""Calls in one transaction, at most."""


class WriteLane(Lane):
    """A lane for writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.committing_since: float | None = None
        """When the commit that is under way began. Any thread may ask."""

    def _carry(self, call: Call) -> None:
        if call.is_claimed:
            return
        try:
            connection = self._connect()
            # Shorter than the caller's deadline, so that a locked file is known to be the cause.
            left = max(0.0, call.until - monotonic())
            connection.set_busy_timeout(int(left * 800))
            connection.execute("BEGIN IMMEDIATE")
        except Exception as error:  # noqa: BLE001 - raised by the caller
            if call.claim():
                self._fail(call, error)
                self._settle([call])
            if has_harmed(error):
                self._disconnect()
            return
        calls: list[Call] = []
        try:
            self._transact(connection, call, calls)
        except Exception as error:  # noqa: BLE001 - beside the work of any call; all of it is undone
            self._undone(calls, error)
        self._settle(calls)

    def _transact(self, connection: apsw.Connection, first: Call, calls: list[Call]) -> None:
        """Do the work of `first` and of what waits, note it in `calls`, and commit."""
        call: Call | None = first
        while call is not None:
            if call.claim():
                calls.append(call)
                self._perform(connection, call)
                if not connection.in_transaction:  # SQLite has undone all of it: a full disk, say
                    self._undone(calls, call.error)
                    return
            call = self._next() if len(calls) < TOGETHER else None
        self._commit(connection, calls)

    def _perform(self, connection: apsw.Connection, call: Call) -> None:
        connection.execute("SAVEPOINT one")
        try:
            call.result = call.work(connection)
        except Exception as error:  # noqa: BLE001 - raised by the caller
            self._fail(call, error)
            if connection.in_transaction:
                connection.execute("ROLLBACK TO one")
        if connection.in_transaction:
            connection.execute("RELEASE one")

    def _commit(self, connection: apsw.Connection, calls: Sequence[Call]) -> None:
        self.committing_since = monotonic()
        try:
            connection.execute("COMMIT")
        except apsw.FullError as error:
            self._undone(calls, error)
        except apsw.Error as error:
            for call in calls:
                call.error = OutcomeUnknown(
                    f"SQLite did not confirm a commit to {self.path} ({error}); check the disk."
                )
                call.error.__cause__ = error
            self._disconnect()  # which rolls back
        else:
            if any(call.error and _has_harmed(call.error) for call in calls):
                self._disconnect()
        finally:
            self.committing_since = None

    def _undone(self, calls: Sequence[Call], error: Exception | None) -> None:
        cause = error.__cause__ if isinstance(error, Exception) and error.__cause__ else error
        for call in calls:
            self._fail(call, cause if isinstance(cause, Exception) else apsw.Error("rolled back"))
        self._disconnect()


def _has_harmed(error: Exception) -> bool:
    """Tell whether SQLite raised what one call failed with, and the connection is in doubt."""
    return isinstance(error.__cause__, Exception) and has_harmed(error.__cause__)

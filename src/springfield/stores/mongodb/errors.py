"""In charge of what a failure of MongoDB means. The only file that maps PyMongo's exceptions.

Whether a write may have happened is observed, not guessed: PyMongo retries writes, and the error
of its last attempt tells nothing of the first. `Traffic` counts the write commands that were sent
and the replies that came.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    InvalidOperation,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from springfield.errors import (
    Misconfigured,
    NameCollision,
    NotStorable,
    OutcomeUnknown,
    SpringfieldError,
    StoreError,
    Unavailable,
)
from springfield.stores.mongodb.values import too_large

DUPLICATE_KEY = 11000

# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
_TIME_LIMITS = {50, 202, 262}
_NOT_PRIMARY = {10058, 10107, 13435, 13436}  # refused before anything was done
_INTERRUPTED = {6, 7, 24, 43, 46, 63, 89, 91, 112, 133, 134, 150, 175, 189, 237} | {
    *(9001, 11600, 11601, 11602, 13388)
}
TEMPORARY = _TIME_LIMITS | _NOT_PRIMARY | _INTERRUPTED
_NOT_ALLOWED = {13, 18, 8000}
_NO_SHARD_KEY = 61
_DISK_FULL = 14031
_DOCUMENT_TOO_LARGE = {10334, 17419, 17420}

_WRITES = frozenset(["update", "delete"])


@dataclass(slots=True)
class Traffic:
    """What one call of the adapter sent."""

    sent: int = 0
    answered: int = 0


traffic: ContextVar[Traffic | None] = ContextVar("traffic", default=None)


class TrafficCounter(CommandListener):
    """Counts the write commands of the current call."""

    def started(self, event: CommandStartedEvent) -> None:
        """Count a command that is about to be sent."""
        if (counted := traffic.get()) and event.command_name in _WRITES:
            counted.sent += 1

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Count a reply."""
        if (counted := traffic.get()) and event.command_name in _WRITES:
            counted.answered += 1

    def failed(self, event: CommandFailedEvent) -> None:
        """Count a reply that says no; what has no `ok` is PyMongo's own account of a lost one."""
        if (counted := traffic.get()) and event.command_name in _WRITES:
            counted.answered += "ok" in event.failure


@dataclass(frozen=True, slots=True)
class Server:
    """What error sentences need to know."""

    place: str
    """Hosts and ports, without secrets."""
    timeout: float

    def failure(self, error: PyMongoError | BSONError, done: Traffic, *, down: bool) -> StoreError:
        """Say what `error` means for a call that did `done`; `down` where no host can be reached.

        Gives Misconfigured where an operator must act, OutcomeUnknown where a write was sent and
        not answered, Unavailable where nothing was written.
        """
        code = _code_of(error)
        slow = isinstance(error, PyMongoError) and error.timeout
        if isinstance(error, ServerSelectionTimeoutError):
            slow = not down
        if done.sent > done.answered or isinstance(error, BulkWriteError | WriteConcernError):
            return self.outcome_unknown(slow=slow)
        if done.sent and code in TEMPORARY - _NOT_PRIMARY:
            return self.outcome_unknown(slow=slow)
        if slow:
            return self.too_slow()
        if isinstance(error, OperationFailure) and code not in TEMPORARY:
            return self._refusal(error, code)
        return self._unreachable(error)

    def too_slow(self) -> Unavailable:
        """Say that the time was up before anything was written."""
        return Unavailable(
            f"MongoDB at {self.place} did not answer within {self.timeout:g} s; "
            "nothing was written.",
            slow=True,
        )

    def outcome_unknown(self, *, slow: bool) -> OutcomeUnknown:
        """Say that a write was sent and not confirmed."""
        return OutcomeUnknown(
            f"MongoDB at {self.place} was sent the write and did not confirm it within "
            f"{self.timeout:g} s; read the item to see whether it was written."
            if slow
            else f"MongoDB at {self.place} was sent the write and did not confirm it; "
            "read the item to see whether it was written.",
            slow=slow,
        )

    def refused_item(self, error: Mapping[str, Any]) -> SpringfieldError:
        """Say what one entry of `writeErrors` means for the name that it is about."""
        code = error.get("code", 0)
        if code == DUPLICATE_KEY:
            return _duplicate(error)
        if code in _DOCUMENT_TOO_LARGE:
            return too_large()
        if code in TEMPORARY:
            return Unavailable(
                f"MongoDB at {self.place} did not write this item (code {code}).",
                slow=code in _TIME_LIMITS,
            )
        if code in _NOT_ALLOWED or code == _DISK_FULL:
            return self._misconfigured(code)
        if code == _NO_SHARD_KEY:
            return Misconfigured(
                "The MongoDB collection is sharded by another key; shard it by {name: 1}."
            )
        return NotStorable(
            f"MongoDB refuses this item (code {code}): a validator, an index or the version of "
            "the server does not allow this content."
        )

    def _unreachable(self, error: PyMongoError | BSONError) -> Unavailable:
        if isinstance(error, ConfigurationError):  # no SRV record, or a server of another age
            return Unavailable(
                f"MongoDB at {self.place} cannot be used: {error}; nothing was written."
            )
        if isinstance(error, InvalidOperation):
            return Unavailable("This service is closing its connections to MongoDB.")
        return Unavailable(f"MongoDB at {self.place} cannot be reached; nothing was written.")

    def _refusal(self, error: OperationFailure, code: int) -> StoreError:
        if code in _NOT_ALLOWED:
            return Misconfigured(
                f"MongoDB at {self.place} does not let this user in or lacks the right; correct "
                "user, password and authSource of the URI, or grant readWrite on the database."
            )
        return self._misconfigured(code, (error.details or {}).get("codeName", ""))

    def _misconfigured(self, code: int, label: str = "") -> Misconfigured:
        return Misconfigured(
            f"MongoDB at {self.place} refuses to serve this resource (code {code} {label}".rstrip()
            + "); look the code up and change the server, the collection or the user's rights."
        )


def _duplicate(error: Mapping[str, Any]) -> SpringfieldError:
    if set(error.get("keyPattern", {"name": 1})) == {"name"}:
        return NameCollision(
            "The collection's unique index on `name` takes this name for one that it holds "
            "already; give that index the simple collation."
        )
    return NotStorable(
        "A unique index of the collection, on another field than `name`, refuses this item."
    )


def _code_of(error: PyMongoError | BSONError) -> int:
    if isinstance(error, OperationFailure):
        return error.code or 0
    if isinstance(error, NotPrimaryError) and isinstance(error.details, Mapping):
        return int(error.details.get("code", 0))
    return 0

"""In charge of what a failure of MySQL means. The only file that maps asyncmy's exceptions.

Whether a write may have happened is observed, not guessed: `Progress` notes what was sent and what
was answered.
"""

import ssl
from dataclasses import dataclass

from asyncmy.errors import MySQLError

from springfield.errors import (
    Misconfigured,
    NameCollision,
    NotStorable,
    OutcomeUnknown,
    SpringfieldError,
    StoreError,
    Unavailable,
)

# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
# https://mariadb.com/kb/en/mariadb-error-code-reference/
OUT_OF_RANGE = 1690
DUPLICATE_KEY = 1062
UNKNOWN_DATABASE = 1049
DEADLOCKS = frozenset({1213, 1020, 1615})
"""The statement was undone whole and may be repeated at once."""

TAKEN = "springfield: taken"
"""What an insert fails with where a live item is in the way: this text is no number (1292)."""

_DATA_TOO_LONG = 1406
_NO_NUMBER = 1292
_UNFIT = {_DATA_TOO_LONG, _NO_NUMBER, 1048, 1118, 1264, 1265, 1300, 1366, 1977, 3140, 3854, 3988}
_RULES = {1216, 1217, 1451, 1452, 1644, 3819, 4025}  # foreign keys, triggers, checks
REFUSED_ROWS = frozenset({OUT_OF_RANGE, DUPLICATE_KEY} | _UNFIT | _RULES)
"""What is wrong is one row, so the others of its statement can be written without it."""

SCHEMA_CHANGED = frozenset({1054, 1146, _DATA_TOO_LONG})
_BAD_HANDSHAKE = 1043
_LOCKED = 1205
_TIME_LIMITS = {_LOCKED, 1969, 3024}
_INTERRUPTED = {1053, 1180, 1317, 1927}  # it may have been committing
_NO_TABLE = {1051, 1146, UNKNOWN_DATABASE}
_NOT_ALLOWED = {1044, 1045, 1130, 1142, 1143, 1227, 1251, 1698, 1820, 1862, 2059, 3118, 3159, 4151}
_NO_DEFAULT = {1054, 1364}
_SERVER_CODES = 1000
_CLIENT_CODES = range(2000, 3000)


@dataclass(slots=True)
class Progress:
    """What one call of the adapter changed."""

    in_flight: bool = False
    """A change was sent and not answered."""
    acknowledged: bool = False
    """A change was answered: some of the batch is written."""


def code_of(error: MySQLError) -> int:
    """Return the number of an error; 0 for what has none."""
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0


def is_taken(error: MySQLError) -> bool:
    """Whether an insert found a live item of its name."""
    return code_of(error) == _NO_NUMBER and TAKEN in str(error.args[-1])


def is_answer(error: MySQLError) -> bool:
    """Whether the server said it: then the statement is over."""
    code = code_of(error)
    return code >= _SERVER_CODES and code not in _CLIENT_CODES and code not in _INTERRUPTED


@dataclass(frozen=True, slots=True)
class Failures:
    """Turns failures into our errors, with what the sentences need to know."""

    place: str
    """Host and port."""
    table: str
    timeout: float

    def too_slow(self, done: Progress) -> StoreError:
        """Say what the end of the time means."""
        if done.in_flight or done.acknowledged:
            return self._outcome_unknown(f"did not confirm it within {self.timeout:g} s", slow=True)
        return Unavailable(
            f"MySQL at {self.place} did not answer within {self.timeout:g} s; nothing was written.",
            slow=True,
        )

    def failure(self, error: MySQLError, done: Progress) -> StoreError:
        """Say what `error` means for a call that did `done`."""
        code = code_of(error)
        if done.in_flight or done.acknowledged:
            return self._outcome_unknown("did not confirm it", slow=False)
        if code in _NO_TABLE:
            return self.no_table()
        if code in _NO_DEFAULT | _NOT_ALLOWED:
            return Misconfigured(self._what_to_correct(code))
        if is_answer(error):
            return Unavailable(
                f"MySQL at {self.place} refused the statement (error {code}{_reason(code)}); "
                "nothing was written.",
                slow=code in _TIME_LIMITS,
            )
        if isinstance(error.__cause__, ssl.SSLError) or code == _BAD_HANDSHAKE:
            return Misconfigured(
                f"MySQL at {self.place} does not speak TLS with a certificate that ssl-ca of the "
                "URL vouches for; correct that path, or the server's certificate."
            )
        return Unavailable(f"MySQL at {self.place} cannot be reached; nothing was written.")

    def _what_to_correct(self, code: int) -> str:
        if code in _NO_DEFAULT:
            return (
                f"The MySQL table {self.table} was altered and no longer takes just a name and a "
                f"content (error {code}); give its other columns a default."
            )
        return (
            f"MySQL at {self.place} does not let this user in or lacks the right (error {code}); "
            "correct the user and password of the URL, or grant SELECT, INSERT, UPDATE and DELETE "
            f"on {self.table}."
        )

    def no_table(self) -> Misconfigured:
        """Say that there is nothing to serve yet."""
        return Misconfigured(
            f"MySQL at {self.place} has no table {self.table}, or hides it from this user; "
            "run `springfield init`."
        )

    def refused_row(self, error: MySQLError) -> SpringfieldError:
        """Say what an error of `REFUSED_ROWS` means for the one row that was written."""
        code = code_of(error)
        if code == OUT_OF_RANGE:
            return NameCollision(
                f"The MySQL table {self.table} takes this name for another one that it holds "
                "(case, accents or trailing spaces aside); give the column a binary collation."
            )
        if code == DUPLICATE_KEY or code in _RULES:
            return NotStorable(
                f"A rule of the MySQL table {self.table} (a unique key, a foreign key, a check or "
                f"a trigger) refuses this item (error {code})."
            )
        return NotStorable(
            f"The MySQL table {self.table} cannot keep this item whole (error {code}): it is too "
            "long for its column, or has characters that the column's character set lacks."
        )

    def undeletable_row(self, error: MySQLError) -> StoreError:
        """Say what an error of `REFUSED_ROWS` means for a row that shall go."""
        return Misconfigured(
            f"A rule of the MySQL table {self.table} (a foreign key or a trigger) keeps this item "
            f"from being deleted (error {code_of(error)})."
        )

    def _outcome_unknown(self, what: str, *, slow: bool) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"MySQL at {self.place} was sent the write and {what}; read the item to see whether "
            "it was written.",
            slow=slow,
        )


def _reason(code: int) -> str:
    return ": another program holds a lock on the row" if code == _LOCKED else ""

"""In charge of opening a SQLite file, and of saying in our words what SQLite says.

The only file that knows which pragmas make a commit durable.
"""

from pathlib import Path

import apsw

from springfield.errors import Misconfigured, SpringfieldError, Unavailable

_STATEMENTS = 64
"""Prepared statements that a connection keeps."""


def open_for_writing(path: Path) -> apsw.Connection:
    """Open the file; make it and its directory where they are missing. Raises apsw.Error, OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = apsw.Connection(str(path), statementcachesize=_STATEMENTS)
    connection.set_busy_timeout(1000)
    # FULL: a commit returns when the write-ahead log is on the disk (fsync).
    # No mmap: an I/O error would be a signal that kills the process.
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def open_for_reading(path: Path) -> apsw.Connection:
    """Open a file that is there, and read its schema. Never waits for a lock: it raises BusyError."""
    connection = apsw.Connection(
        str(path), flags=apsw.SQLITE_OPEN_READONLY, statementcachesize=_STATEMENTS
    )
    connection.execute("PRAGMA mmap_size = 0").fetchall()
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    return connection


def has_harmed(error: Exception) -> bool:
    """Tell whether the connection that raised it should be opened anew."""
    return isinstance(error, apsw.Error) and not isinstance(
        error, apsw.BusyError | apsw.LockedError
    )


def in_our_words(error: Exception, path: Path, timeout: float) -> Exception:
    """Return ours for what SQLite or the file system raised while nothing was written."""
    match error:
        case SpringfieldError():
            return error
        case apsw.NotADBError() | apsw.CorruptError():
            ours: SpringfieldError = Misconfigured(
                f"{path} is not a sound SQLite database ({error}); restore it from a backup "
                "or move it away."
            )
        case apsw.BusyError() | apsw.LockedError():
            ours = Unavailable(
                f"{path} stayed locked by another process for {timeout:g} s; nothing was written.",
                slow=True,
            )
        case apsw.Error():
            ours = Unavailable(
                f"SQLite cannot use {path} ({error}); check the disk, the path and its permissions."
            )
        case OSError():
            ours = Unavailable(f"The directory of {path} cannot be made ({error}).")
        case _:
            return error
    ours.__cause__ = error
    return ours

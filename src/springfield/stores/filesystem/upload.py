"""In charge of writing one file, blocking: what `object.py` does in threads.

The new file is written beside the old one and takes its name when it is whole and on the disk.
While it is written it is locked (flock(2)), so that who cleans up after a crashed process knows.
"""

import contextlib
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from springfield.stores.filesystem.download import refuse_what_is_no_file
from springfield.stores.filesystem.lock import locked, try_lock
from springfield.stores.filesystem.record import write_record
from springfield.stores.objects import ObjectInfo

Check = Callable[[], bool]
"""Tells, while the directory is locked, whether what is expected is there."""

_SYNCED_AT_ONCE = 16 * 1024 * 1024  # bytes; a flush of all of a large file would take too long

_PREFIX, _SUFFIX = ".springfield-", ".part"


class Upload:
    """A new version of a file; nobody sees it before `publish`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()
        self._is_closed = False
        self._part = path
        self._file = -1
        self._hash = hashlib.blake2b(digest_size=16)
        self._size = 0
        self._unsynced = 0

    def create(self) -> None:
        """Make the temporary file, empty and locked."""
        with self._turn:
            with contextlib.suppress(FileNotFoundError):
                refuse_what_is_no_file(self._path, self._path.stat())
            while self._file < 0 and not self._is_closed:
                self._create_locked()

    def write(self, chunk: bytes) -> None:
        """Add bytes."""
        with self._turn:
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._hash.update(chunk)
            self._size += len(chunk)
            self._unsynced += len(chunk)
            if self._unsynced >= _SYNCED_AT_ONCE:
                os.fdatasync(self._file)
                self._unsynced = 0

    def finish(self, media_type: str | None) -> ObjectInfo:
        """Put everything on the disk, the record too; only the name is missing then."""
        with self._turn:
            # The kernel's clock ticks a few hundred times a second. A time with all its
            # nanoseconds is none that the next write of another program can be given.
            now = time.time_ns()
            os.utime(self._file, ns=(now, now))
            tag = self._hash.hexdigest()
            info = ObjectInfo(self._size, tag, media_type)
            is_recorded = write_record(self._file, info)
            os.fsync(self._file)
            return info if is_recorded else ObjectInfo(self._size, tag)

    def publish(self, check: Check | None, seconds: float) -> bool:
        """Take the name, at once and durably; False, and nothing done, when `check` says so.

        Waits up to `seconds` for the directory's lock; raises as `locked` does.
        """
        with self._turn:
            with locked(self._path.parent, seconds, is_needed=check is not None):
                if check is not None and not check():
                    return False
                self._part.replace(self._path)
            _sync_directory(self._path.parent)
            return True

    def close(self) -> None:
        """Let the file go, and remove it unless it has taken the name."""
        with self._turn, contextlib.suppress(OSError):  # the next opening cleans up what stays
            self._is_closed = True
            if self._file >= 0:
                self._part.unlink(missing_ok=True)
                os.close(self._file)
                self._file = -1

    def _create_locked(self) -> None:
        part = self._path.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        if try_lock(file) and os.fstat(file).st_nlink:
            self._part, self._file = part, file
        else:  # who cleans up came between the two steps
            os.close(file)


def remove(path: Path, check: Check | None, seconds: float) -> bool:
    """Remove the file durably; an absent one is no error. Otherwise as `Upload.publish`."""
    with locked(path.parent, seconds, is_needed=check is not None):
        if check is not None and not check():
            return False
        try:
            refuse_what_is_no_file(path, path.stat())
            path.unlink()
        except FileNotFoundError:
            return True
    _sync_directory(path.parent)
    return True


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files that nobody writes any more."""
    for part in directory.glob(f"{_PREFIX}*{_SUFFIX}"):
        with contextlib.suppress(OSError):  # another process cleans up, too
            file = os.open(part, os.O_WRONLY | os.O_CLOEXEC)
            try:
                if try_lock(file):
                    part.unlink()
            finally:
                os.close(file)


def _sync_directory(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)

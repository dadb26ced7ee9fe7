"""In charge of reading one file, blocking: what `object.py` does in threads.

A transfer takes one call at a time: closing waits for the call that runs, and no call opens
anything after it.
"""

import hashlib
import os
import stat
import sys
import threading
from pathlib import Path

from springfield.errors import Misconfigured
from springfield.stores.filesystem.record import read_record
from springfield.stores.objects import CHUNK, Expected, ObjectInfo, Part

_HASHED_AT_ONCE = 128  # chunks

Version = tuple[int, int, int, int]
"""Device, inode, size, time of modification: another one when any program has written."""


class Download:
    """The file being read. It stays whole while it is replaced: the old inode is held open."""

    def __init__(self, path: Path, known: dict[Version, str]) -> None:
        """Take the tags that are known of files without a record; what is hashed is put there."""
        self._path = path
        self._known = known
        self._turn = threading.Lock()
        self._is_closed = False
        self._file = -1
        self._version: Version | None = None
        self._hash = hashlib.blake2b(digest_size=16)
        self._hashed = 0
        self._next, self._stop = 0, sys.maxsize

    def start(self) -> bool:
        """Open the file; tell whether there is one. Raises Misconfigured for what is no file."""
        with self._turn:
            if self._is_closed:
                return False
            try:
                # A FIFO would block its opener until somebody writes to it.
                self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except FileNotFoundError:
                self._path.parent.stat()  # a directory that is gone is no absent file
                return False
            refuse_what_is_no_file(self._path, os.fstat(self._file))
            return True

    def identify(self) -> ObjectInfo | None:
        """Return the facts; None when it takes another call, because there is more to hash."""
        with self._turn:
            facts = os.fstat(self._file)
            recorded = read_record(self._file, facts)
            if recorded is not None:
                return recorded
            version = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
            self._version = self._version or version
            tag = self._known.get(version) or self._hash_on()
            if tag is None:
                return None
            if version == self._version:  # else it changed while it was hashed
                self._known.clear()
                self._known[version] = tag
            return ObjectInfo(facts.st_size, tag)

    def select(self, part: Part) -> None:
        """Read this part only."""
        self._next, self._stop = part.start, part.stop

    def read(self) -> bytes:
        """Return the next bytes, at most `CHUNK`; b"" at the end."""
        with self._turn:
            piece = os.pread(self._file, min(CHUNK, self._stop - self._next), self._next)
            self._next += len(piece)
            return piece

    def close(self) -> None:
        """Let the file go."""
        with self._turn:
            self._is_closed = True
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _hash_on(self) -> str | None:
        for _ in range(_HASHED_AT_ONCE):
            piece = os.pread(self._file, CHUNK, self._hashed)
            if not piece:
                return self._hash.hexdigest()
            self._hash.update(piece)
            self._hashed += len(piece)
        return None


def is_there(path: Path, expected: Expected, known: dict[Version, str]) -> bool:
    """Tell whether the file at `path` is the expected one, in bounded time.

    A large file that another program has changed since its tag became `known` is not.
    """
    download = Download(path, known)
    try:
        if not download.start():
            return expected.entity_tag is None
        info = download.identify()
        return info is not None and info.entity_tag == expected.entity_tag
    finally:
        download.close()


def refuse_what_is_no_file(path: Path, facts: os.stat_result) -> None:
    """Raise Misconfigured when `path` is a directory, a device, a FIFO or a socket."""
    if not stat.S_ISREG(facts.st_mode):
        raise Misconfigured(f"{path} is not a regular file; give the object another path.")

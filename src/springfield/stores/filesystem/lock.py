"""In charge of the lock that every change of a name takes: the store decides while it is held.

It is the lock of the directory itself (flock(2)): all processes see it, it leaves no file behind,
and the kernel drops it when its holder dies. It is held for a comparison and a rename, no longer.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from springfield.errors import NotStorable, Unavailable

_PAUSE = 0.002  # seconds; flock itself would wait for ever

_UNSUPPORTED = {errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}


@contextmanager
def locked(directory: Path, seconds: float, *, is_needed: bool) -> Iterator[None]:
    """Hold the lock of `directory`; raises Unavailable when it is not free within `seconds`.

    A file system that cannot lock a directory (NFS) raises NotStorable where the lock `is_needed`
    for a condition. All other changes are made without it there: no condition could be harmed.
    """
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _wait_for(file, directory, seconds, is_needed=is_needed)
        yield
    finally:
        os.close(file)


def _wait_for(file: int, directory: Path, seconds: float, *, is_needed: bool) -> None:
    until = time.monotonic() + seconds
    try:
        while not try_lock(file):
            if time.monotonic() > until:
                raise Unavailable(
                    f"Another program held the lock of {directory} (flock) for {seconds:g} s; "
                    "nothing was written.",
                    slow=True,
                )
            time.sleep(_PAUSE)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        if is_needed:
            raise NotStorable(
                f"The file system of {directory} cannot lock it, so a condition cannot be kept; "
                "write without If-Match and If-None-Match, or use a directory on another one."
            ) from error


def try_lock(file: int) -> bool:
    """Lock the open `file` or directory; False when somebody else has it locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

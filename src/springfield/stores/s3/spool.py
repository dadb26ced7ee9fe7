"""In charge of a large body that has to be sent in one request: it waits in a temporary file.

The file has no name (O_TMPFILE, or unlinked at once), so that nothing stays of a killed process.
"""

import contextlib
import tempfile
import threading
from typing import IO

from springfield.errors import Unavailable


class Spool:
    """A body on its way from a client to S3. Blocks; its calls take turns."""

    def __init__(self) -> None:
        self.size = 0
        self._turn = threading.Lock()
        self._is_closed = False
        self._file: IO[bytes] | None = None

    def add(self, part: bytearray) -> None:
        """Append bytes; raises Unavailable when the disk does not take them."""
        with self._turn:
            if self._is_closed:
                return
            try:
                if self._file is None:
                    self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - see close
                rest = memoryview(part)
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                raise Unavailable(
                    f"The directory {tempfile.gettempdir()} cannot take this upload "
                    f"({error.strerror}); nothing was written. Free some space or set TMPDIR."
                ) from error
            self.size += len(part)

    def rewound(self) -> IO[bytes]:
        """Return the file, at its start."""
        with self._turn:
            assert self._file is not None
            self._file.seek(0)
            return self._file

    def close(self) -> None:
        """Drop the bytes; a request that still sends them breaks off."""
        with self._turn, contextlib.suppress(OSError):
            self._is_closed = True
            if self._file is not None:
                self._file.close()

"""In charge of the standard streams of the process: there are three, and nobody waits for a reader.

A descriptor that was closed by who started the process is the next one that is opened: what is meant for
standard error would be written to a client's connection.
"""

import os
import select
import sys
from contextlib import suppress

PIECE = 512
"""Bytes that can be written to whatever select(2) calls writable (POSIX: PIPE_BUF is no less)."""


def open_what_is_closed() -> None:
    """Lead standard input, output and error to /dev/null where they are closed."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one
    # Python has none where it found them closed.
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def show(text: str) -> None:
    """Write `text` and a newline to standard output, as far as somebody takes it at once."""
    with suppress(OSError, ValueError):  # the reader is gone, or the disk is full
        sys.stdout.flush()
        rest = f"{text}\n".encode(sys.stdout.encoding, errors="backslashreplace")
        descriptor = sys.stdout.fileno()
        while rest and select.select([], [descriptor], [], 0)[1]:
            rest = rest[os.write(descriptor, rest[:PIECE]) :]

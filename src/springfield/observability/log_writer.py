"""In charge of getting log lines out of the process without anybody waiting for it.

Contract
    `put` takes about a microsecond and never blocks, whatever becomes of the reader of the lines: they are
    rendered and written in a thread of their own. At most `LIMIT` lines wait; what comes on top is
    dropped, counted, and told in a line as soon as lines are taken again.

Order
    As put. Lines wait `PAUSE` for company, so that a busy service wakes the thread 50 times a second
    and not once a line. Many processes may share a pipe: lines are written in pieces that the
    kernel keeps together (PIPE_BUF).

Rejected
    The standard library's QueueHandler and QueueListener: a lock and a wake-up for every line, a record
    that costs as much as the rest, an unbounded queue or a traceback for every line that is dropped.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Mapping
from traceback import TracebackException
from typing import NamedTuple, Protocol

from springfield.observability.events import RequestFinished

LIMIT = 8192
"""Lines that may wait; at the bounds of `logs.py` that is some 16 MiB, in practice 4."""

PAUSE = 0.02
"""Seconds that a line waits for company."""

PIECE = 4096
"""Bytes that a write to a pipe keeps together on Linux (PIPE_BUF)."""


class Entry(NamedTuple):
    """What a line is made of."""

    at: float
    """Seconds since the epoch."""
    level: int
    logger: str
    message: str | RequestFinished | Mapping[str, object]
    """A text, a request, or the fields of whatever else happened."""
    trace_id: str | None
    exception: TracebackException | None
    """Not the exception itself: that holds the frames, and with them the bodies of requests."""


class Writer(Protocol):
    """What takes lines."""

    dropped: int
    """Lines that were lost, ever: the queue was full, or nobody could take them."""

    def start(self) -> None:
        """Begin."""

    def put(self, entry: Entry) -> None:
        """Have a line written, or drop it; never block."""

    def close(self, patience: float) -> None:
        """Write what is there, for at most `patience` seconds."""


MakeWriter = Callable[[Callable[[Entry], str], Callable[[int], Entry], int], Writer]
"""Makes a writer of what renders a line, what makes the line about dropped ones, and a descriptor."""


class LineByLine:
    """Writes each line at once and drops what nobody takes: for a process that must have no threads."""

    def __init__(self, render: Callable[[Entry], str], descriptor: int) -> None:
        self.dropped = 0
        self._render = render
        self._descriptor = descriptor

    def start(self) -> None:
        """See Writer."""

    def put(self, entry: Entry) -> None:
        """See Writer."""
        line = self._render(entry).encode(errors="backslashreplace")[: PIECE - 1] + b"\n"
        try:
            _, writable, _ = select.select([], [self._descriptor], [], 0)
            if writable:
                os.write(self._descriptor, line)
                return
        except (OSError, ValueError):  # the reader is gone, or the descriptor
            pass
        self.dropped += 1

    def close(self, patience: float) -> None:
        """See Writer."""


def write_line_by_line(
    render: Callable[[Entry], str], told: Callable[[int], Entry], descriptor: int
) -> Writer:
    """Make a writer without a thread."""
    del told
    return LineByLine(render, descriptor)


class LogWriter:
    """The thread that renders and writes lines."""

    def __init__(
        self,
        render: Callable[[Entry], str],
        told: Callable[[int], Entry],
        descriptor: int,
    ) -> None:
        """Write to `descriptor`; `told` makes the entry that tells of so many dropped lines."""
        self.dropped = 0
        """Lines that were lost, ever: the queue was full, or nobody could take them."""
        self._told = 0
        self._render = render
        self._telling = told
        self._descriptor = descriptor
        self._queue: deque[Entry] = deque()
        self._counting = threading.Lock()
        self._has_work = threading.Event()
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def start(self) -> None:
        """Start the thread. It ends with the process: nobody waits for a reader that is stuck."""
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Have a line written soon, or drop it when too many wait already. Any thread may."""
        if len(self._queue) >= LIMIT:
            self._drop(1)
            return
        self._queue.append(entry)
        if not self._has_work.is_set():
            self._has_work.set()

    def close(self, patience: float) -> None:
        """Write what is there, for at most `patience` seconds."""
        self._is_ending.set()
        self._has_work.set()
        self._thread.join(patience)

    def _drop(self, lines: int) -> None:
        with self._counting:
            self.dropped += lines

    def _run(self) -> None:
        while not self._is_ending.is_set():
            self._has_work.wait()
            self._is_ending.wait(PAUSE)
            self._has_work.clear()
            while self._queue:
                self._write_piece()
            self._tell()

    def _write_piece(self) -> None:
        lines: list[bytes] = []
        size = 0
        while self._queue and size < PIECE:
            try:
                line = self._render(self._queue[0])
            except Exception:  # noqa: BLE001 - one line that cannot be rendered must not end all
                self._drop(1)
            else:
                encoded = line.encode(errors="backslashreplace") + b"\n"
                size += len(encoded)
                if lines and size > PIECE:
                    break
                lines.append(encoded)
            self._queue.popleft()
        self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        rest = memoryview(b"".join(lines))
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another process has made the shared pipe non-blocking
                waiting = select.poll()
                waiting.register(self._descriptor, select.POLLOUT)
                waiting.poll()
            except OSError:  # the reader is gone, the disk is full
                self._drop(len(lines))
                return

    def _tell(self) -> None:
        dropped = self.dropped
        if dropped > self._told:
            before, self._told = self._told, dropped
            self._write([self._render(self._telling(dropped - before)).encode() + b"\n"])

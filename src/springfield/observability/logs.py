"""In charge of what is logged: a line a request, what happened, and what any library logs.

Never a body, a header or a query. Whatever goes through the standard library's loggers takes the same
way, with the trace id of the request in whose context it was said.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from traceback import TracebackException

from springfield.observability.events import (
    BreakerChanged,
    CallRetried,
    Events,
    LoopBlocked,
    LoopTurned,
    RequestFinished,
)
from springfield.observability.log_lines import FIELDS, Format, renderer
from springfield.observability.log_writer import Entry, LogWriter, MakeWriter, Writer
from springfield.observability.trace_context import current

MESSAGE_LIMIT = 8192
"""Characters of a message that are kept."""

PATH_LIMIT = 256
"""Characters of a request's path and method that are kept."""

STANDARD_ERROR = 2

PATIENCE = 2.0
"""Seconds that the last lines may take to be written when the process ends."""

NOISY = ("asyncio", "boto3", "botocore", "pymongo", "urllib3")
"""Libraries of which only warnings are logged: below that, some write what is stored."""

SILENT = ("urllib3.connection",)
"""Those of which only errors are: it warns, with a traceback, of each answer of S3 whose media type is
`multipart/…` without a boundary, and any client may store such an object."""

access = logging.getLogger("springfield.access")


class Handler(logging.Handler):
    """Hands every record of the standard library's loggers to the writer."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self.writer = writer

    def createLock(self) -> None:  # noqa: N802 - the standard library's name
        """Do without a lock: the writer's queue needs none, and the loop waits for nobody."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit what the filters let through. From Python 3.13 on the original insists on a lock."""
        is_kept = self.filter(record)
        if is_kept:
            self.emit(record)
        return is_kept

    def emit(self, record: logging.LogRecord) -> None:
        """Put a line. The text is made at once, as its arguments may change."""
        try:
            message = record.getMessage()
        except Exception as defect:  # noqa: BLE001 - whatever a library's log call has wrong
            message = f"{record.msg!r} cannot be formatted: {defect!r}"
        trace = current.get()
        error = record.exc_info[1] if record.exc_info else None
        self.writer.put(
            Entry(
                record.created,
                record.levelno,
                record.name,
                _cut(message, MESSAGE_LIMIT),
                None if trace is None else trace.trace_id,
                None
                if error is None
                else TracebackException.from_exception(error, lookup_lines=False),
            )
        )


@contextmanager
def logging_lines(
    form: Format | None,
    level: str,
    make_writer: MakeWriter = LogWriter,
    descriptor: int = STANDARD_ERROR,
) -> Iterator[Writer]:
    """Have everything that is logged written to `descriptor`, until the context is left.

    Without a form it is `console` on a terminal, else `json`. Leaving the context writes what waits,
    for at most PATIENCE seconds. A LogWriter starts a thread: enter it after a fork.
    """
    is_terminal = os.isatty(descriptor)
    form = form or ("console" if is_terminal else "json")
    writer = make_writer(renderer(form, has_colors=is_terminal), _dropped, descriptor)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = [Handler(writer)]
    set_level(level)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.captureWarnings(True)  # noqa: FBT003 - the standard library's signature
    writer.start()
    try:
        yield writer
    finally:
        logging.captureWarnings(False)  # noqa: FBT003
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        writer.close(PATIENCE)


def set_level(level: str) -> None:
    """Log from now on what is at least `level`: debug, info, warning or error. Any thread may."""
    logging.getLogger().setLevel(level.upper())


def lines_dropped() -> int:
    """Return how many lines were dropped since the start. Any thread may ask."""
    handler = _handler()
    return 0 if handler is None else handler.writer.dropped


@dataclass
class Thresholds:
    """From when on something is worth a warning; in seconds. May be changed at any time."""

    slow_request: float
    blocked_loop: float


def log_events(events: Events, thresholds: Thresholds) -> None:
    """Log from now on what happens. Enter `logging_lines` before it.

    A request that takes `slow_request` seconds is a warning, as is a loop that does not turn for
    `blocked_loop` seconds. What a client wished to wait does not count.
    """
    put = _puts()

    def log_request(event: RequestFinished) -> None:
        is_slow = event.seconds - event.waited >= thresholds.slow_request
        level = logging.WARNING if is_slow else logging.INFO
        if access.isEnabledFor(level):
            put(Entry(time.time(), level, access.name, _slim(event), event.trace.trace_id, None))

    def log_turn(event: LoopTurned) -> None:
        if event.lag >= thresholds.blocked_loop:
            log_event(logging.WARNING, "springfield.loop", event)

    def log_event(level: int, logger: str, event: object) -> None:
        if logging.getLogger(logger).isEnabledFor(level):
            trace = current.get()
            trace_id = None if trace is None else trace.trace_id
            put(Entry(time.time(), level, logger, FIELDS[type(event)](event), trace_id, None))

    events.subscribe(RequestFinished, log_request)
    events.subscribe(LoopTurned, log_turn)
    for kind, level, logger in (
        (LoopBlocked, logging.WARNING, "springfield.loop"),
        (BreakerChanged, logging.WARNING, "springfield.resilience"),
        (CallRetried, logging.DEBUG, "springfield.resilience"),
    ):
        events.subscribe(kind, partial(log_event, level, logger))


def _handler() -> Handler | None:
    handlers = logging.getLogger().handlers
    return next((each for each in handlers if isinstance(each, Handler)), None)


def _puts() -> Callable[[Entry], None]:
    """Return the way to the writer; around the standard library, whose record costs 6 µs."""
    handler = _handler()
    return _log_plainly if handler is None else handler.writer.put


def _log_plainly(entry: Entry) -> None:
    logging.getLogger(entry.logger).log(entry.level, "%s", entry.message)


def _slim(event: RequestFinished) -> RequestFinished:
    """Leave out what must not wait in the queue: a long path, an error with its frames."""
    if event.error is None and len(event.path) <= PATH_LIMIT and len(event.method) <= PATH_LIMIT:
        return event
    path, method = _cut(event.path, PATH_LIMIT), _cut(event.method, PATH_LIMIT)
    return event._replace(path=path, method=method, error=None)


def _dropped(lines: int) -> Entry:
    text = f"{lines} log lines were dropped: more came than could be written"
    return Entry(time.time(), logging.WARNING, "springfield.logs", text, None, None)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"

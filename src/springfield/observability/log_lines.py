"""In charge of what a log line looks like: JSON for programs, or columns for people.

Whatever a request brings, a line stays one line, and a terminal is never told what to do. No password
of a URL is written. Runs in the writer's thread.
"""

import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor

from springfield.observability import events
from springfield.observability.log_writer import Entry

Format = Literal["json", "console"]

EXCEPTION_LIMIT = 65_536
"""Characters of a traceback that are kept."""

_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
# Control characters (C0, DEL, C1), line and paragraph separators, and what turns the direction of text.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def renderer(form: Format, *, has_colors: bool = False) -> Callable[[Entry], str]:
    """Return what makes a line, without its end, of an entry."""
    last: Processor = structlog.processors.JSONRenderer(serializer=_json)
    chain: list[Processor] = [_without_passwords]
    if form == "console":
        chain += [_kept_apart]
        last = structlog.dev.ConsoleRenderer(
            colors=has_colors, timestamp_key="time", sort_keys=False, pad_event_to=24
        )

    def render(entry: Entry) -> str:
        fields: Any = _fields(entry)
        for process in (*chain, last):
            fields = process(None, "", fields)
        return str(fields)

    return render


# ASCII, so that nothing in it can be taken for the end of a line; made once, as that costs 5 µs.
_ENCODER = json.JSONEncoder(default=repr)


def _json(fields: EventDict, **_: Any) -> str:
    return _ENCODER.encode(fields)


@lru_cache(maxsize=2)
def _second(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}"


def _fields(entry: Entry) -> EventDict:
    fields: EventDict = {
        "time": f"{_second(int(entry.at))}.{int(entry.at % 1 * 1000):03}Z",
        "level": logging.getLevelName(entry.level).lower(),
    }
    match entry.message:
        case events.RequestFinished():
            fields.update(_request(entry.message))
        case str():
            fields["event"] = entry.message
        case _:
            fields.update(entry.message)
    if entry.trace_id is not None:
        fields["trace_id"] = entry.trace_id
    fields["logger"] = entry.logger
    fields["pid"] = os.getpid()
    if entry.exception is not None:
        fields["exception"] = "".join(entry.exception.format())[:EXCEPTION_LIMIT]
    return fields


def _without_passwords(_: Any, __: str, fields: EventDict) -> EventDict:
    for key in ("event", "exception", "error"):
        text = fields.get(key)
        if isinstance(text, str) and "://" in text:
            fields[key] = _PASSWORD.sub(r"\1***@", text)
    return fields


def _kept_apart(_: Any, __: str, fields: EventDict) -> EventDict:
    """Escape what could forge a line or steer a terminal; indent what has lines of its own."""
    for key, value in fields.items():
        if isinstance(value, str):
            lines = value.splitlines() if key in {"exception", "stack"} else [value]
            fields[key] = "\n".join(_escaped(line, key) for line in lines)
    return fields


def _escaped(text: str, key: str) -> str:
    margin = "    | " if key in {"exception", "stack"} else ""
    return margin + _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def _request(event: events.RequestFinished) -> Mapping[str, Any]:
    fields = {
        "event": "request",
        "method": event.method,
        "route": event.route,
        "path": event.path,
        "status": event.status,
        "bytes": event.size,
        "ms": round(event.seconds * 1000, 1),
        "client": event.client,
    }
    return fields | {"waited_ms": round(event.waited * 1000, 1)} if event.waited else fields


def _blocked(event: events.LoopBlocked) -> Mapping[str, Any]:
    return {
        "event": "the event loop is blocked",
        "ms": round(event.seconds * 1000),
        "stack": event.stack,
    }


def _turned(event: events.LoopTurned) -> Mapping[str, Any]:
    return {"event": "the event loop turns again", "ms": round(event.lag * 1000)}


def _retried(event: events.CallRetried) -> Mapping[str, Any]:
    return {
        "event": "retry",
        "dependency": event.dependency,
        "operation": event.operation,
        "attempt": event.attempt,
        "ms": round(event.delay * 1000),
        "error": str(event.error),
    }


def _breaker(event: events.BreakerChanged) -> Mapping[str, Any]:
    fields = {
        "event": f"the breaker is {event.state}",
        "dependency": event.dependency,
        "state": event.state,
    }
    return fields if event.error is None else fields | {"error": str(event.error)}


FIELDS: dict[type, Callable[[Any], Mapping[str, Any]]] = {
    events.LoopBlocked: _blocked,
    events.LoopTurned: _turned,
    events.CallRetried: _retried,
    events.BreakerChanged: _breaker,
}
"""What is told of the events that are logged, requests aside."""

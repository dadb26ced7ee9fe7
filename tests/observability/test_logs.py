import json
import logging
import os
import re
import select
import weakref
from collections.abc import Callable
from pathlib import Path
from traceback import TracebackException

import pytest

from springfield.observability import log_writer, logs
from springfield.observability.events import (
    BreakerChanged,
    Events,
    LoopBlocked,
    LoopTurned,
    RequestFinished,
)
from springfield.observability.log_lines import FIELDS, Format, renderer
from springfield.observability.log_writer import Entry, LogWriter
from springfield.observability.logs import Thresholds, log_events, logging_lines, set_level
from springfield.observability.trace_context import current, trace_context_of

TRACE = trace_context_of("")
FORGED = "x\r\n2026 [error] forged \x1b[31m\x9b1m \u2028 \u202e \x00"


def finished(path: str = "/x", seconds: float = 0.001, waited: float = 0.0) -> RequestFinished:
    return RequestFinished(
        "GET", "/{x}", path, 200, 3, seconds, TRACE, client="127.0.0.1", waited=waited
    )


def entry(message: object, exception: BaseException | None = None) -> Entry:
    described = FIELDS[type(message)](message) if type(message) in FIELDS else message
    trace = None if exception is None else TracebackException.from_exception(exception)
    return Entry(1.5, logging.INFO, "test", described, TRACE.trace_id, trace)  # type: ignore[arg-type]


Written = Callable[[Callable[[], None]], list[dict[str, object]]]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Run something, and give the lines that it logged, as JSON."""

    def lines_of(work: Callable[[], None]) -> list[dict[str, object]]:
        with (
            (tmp_path / "log").open("wb") as file,
            logging_lines("json", "info", descriptor=file.fileno()),
        ):
            work()
        return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]

    return lines_of


def raised(text: str) -> Exception:
    try:
        int(text)
    except ValueError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "message", [FORGED, finished(FORGED), BreakerChanged("x", "open", ValueError(FORGED))]
)
def test_whatever_is_logged_stays_one_line_and_steers_no_terminal(
    form: Format, message: object
) -> None:
    line = renderer(form)(entry(message))
    assert "forged" in line
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u202e]", line)
    assert line.splitlines() == [line]


def test_a_traceback_cannot_forge_a_line_on_the_console() -> None:
    error = ExceptionGroup(FORGED, [raised("one"), raised("two")])
    first, *others = renderer("console")(entry("defect", error)).splitlines()
    assert "defect" in first
    assert len(others) > 3
    assert all(line.startswith("    | ") for line in others)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", "\n".join(others))


@pytest.mark.parametrize("form", ["json", "console"])
def test_the_password_of_a_url_is_not_written(form: Format) -> None:
    error = raised("mysql://root:hunter2@db/x")
    line = renderer(form)(entry("cannot reach redis://:hunter2@cache:6379/0", error))
    assert "hunter2" not in line
    assert "redis://:***@cache:6379/0" in line
    assert "mysql://root:***@db/x" in line


def test_a_request_is_a_line_with_all_that_is_known_of_it(written: Written) -> None:
    events = Events()

    def work() -> None:
        log_events(events, Thresholds(1.0, 0.25))
        events.publish(finished("/" + "y" * 1000))

    (line,) = written(work)
    assert str(line.pop("path")).startswith("/yyy")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line.pop("time")))
    assert line == {
        "level": "info",
        "event": "request",
        "method": "GET",
        "route": "/{x}",
        "status": 200,
        "bytes": 3,
        "ms": 1.0,
        "client": "127.0.0.1",
        "trace_id": TRACE.trace_id,
        "logger": "springfield.access",
        "pid": os.getpid(),
    }


def test_paths_are_cut(written: Written) -> None:
    events = Events()

    def work() -> None:
        log_events(events, Thresholds(1.0, 0.25))
        events.publish(finished("y" * 100_000))
        logging.getLogger("test").info("z" * 100_000)

    path, message = written(work)
    assert len(str(path["path"])) < 1000
    assert len(str(message["event"])) < 10_000


def test_the_error_of_a_request_does_not_wait_with_its_line() -> None:
    error = ValueError("its frames hold bodies")
    kept = logs._slim(finished()._replace(error=error))
    assert kept == finished()


def test_a_slow_request_is_a_warning_unless_its_client_wished_to_wait(written: Written) -> None:
    events = Events()

    def work() -> None:
        log_events(events, Thresholds(1.0, 0.25))
        set_level("warning")
        events.publish(finished("/quick", 0.9))
        events.publish(finished("/slow", 1.1))
        events.publish(finished("/waiting", 30.0, 29.9))

    (line,) = written(work)
    assert (line["path"], line["level"], line["ms"]) == ("/slow", "warning", 1100)


def test_a_blocked_loop_is_logged_with_its_stack_and_its_end(written: Written) -> None:
    events = Events()

    def work() -> None:
        log_events(events, Thresholds(1.0, 0.25))
        events.publish(LoopTurned(0.2))
        events.publish(LoopBlocked(0.3, "in the_culprit"))
        events.publish(LoopTurned(2.5))

    blocked, again = written(work)
    assert (blocked["ms"], blocked["stack"]) == (300, "in the_culprit")
    assert (again["level"], again["ms"]) == ("warning", 2500)


def test_other_loggers_take_the_same_way_with_the_trace_id_of_their_request(
    written: Written,
) -> None:
    def work() -> None:
        token = current.set(TRACE)
        logging.getLogger("pymongo").warning("no %s", "server")
        current.reset(token)
        logging.getLogger("tornado.general").warning("alone")
        logging.getLogger("pymongo").info("what is stored")
        logging.getLogger("test").info("%d", "no number")

    first, second, broken = written(work)
    assert (first["event"], first["trace_id"]) == ("no server", TRACE.trace_id)
    assert (second["event"], second["logger"]) == ("alone", "tornado.general")
    assert "trace_id" not in second
    assert "cannot be formatted" in str(broken["event"])


class Untouchable:
    """A lock that nobody may take."""

    def acquire(self) -> None:
        pytest.fail("The lock was taken.")

    __enter__ = __exit__ = release = acquire


def test_who_logs_takes_no_lock(written: Written) -> None:
    def log() -> None:
        (handler,) = logging.getLogger().handlers
        assert handler.lock is None
        handler.lock = Untouchable()  # type: ignore[assignment]
        logging.getLogger("elsewhere").warning("doh")
        handler.lock = None

    assert [line["event"] for line in written(log)] == ["doh"]


def test_the_level_changes_while_it_runs(written: Written) -> None:
    log = logging.getLogger("springfield.test")

    def work() -> None:
        log.debug("unheard")
        set_level("debug")
        log.debug("heard")
        set_level("error")
        log.warning("unheard")

    assert [line["event"] for line in written(work)] == ["heard"]


def test_logging_is_as_before_when_its_context_is_left(written: Written) -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    written(lambda: None)
    assert (logging.getLogger().handlers[:], logging.getLogger().level) == before


def test_what_cannot_be_rendered_or_written_is_counted_and_ends_nothing(tmp_path: Path) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    with (tmp_path / "log").open("wb") as file:
        writer = LogWriter(renderer("json"), logs._dropped, file.fileno())
        writer.start()
        writer.put(entry({"event": Broken()}))
        writer.put(entry("whole"))
        writer.close(5.0)
    lines = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[0] == "whole"
    assert lines[1].startswith("1 log lines were dropped")
    assert writer.dropped == 1


def test_a_line_that_waits_holds_no_frame_of_what_failed(written: Written) -> None:
    class Body:
        pass

    kept: list[weakref.ref[Body]] = []

    def fail() -> None:
        body = Body()
        kept.append(weakref.ref(body))
        int("no number")

    def work() -> None:
        try:
            fail()
        except ValueError:
            logging.getLogger("test").exception("defect")
        assert [each() for each in kept] == [None]

    (line,) = written(work)
    assert 'int("no number")' in str(line["exception"])


def test_a_reader_that_is_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = LogWriter(renderer("json"), logs._dropped, writing)
    writer.start()
    writer.put(entry("lost"))
    writer.close(5.0)
    assert not writer._thread.is_alive()
    assert writer.dropped >= 1
    os.close(writing)


def test_lines_beyond_the_limit_are_dropped_and_told_once_the_reader_reads() -> None:
    reading, writing = os.pipe()
    writer = LogWriter(renderer("json"), logs._dropped, writing)
    writer.start()
    total = log_writer.LIMIT * 2
    for number in range(total):
        writer.put(entry(str(number)))
    assert writer.dropped > 0
    text = b""
    while b"were dropped" not in text:
        assert select.select([reading], [], [], 10)[0]
        text += os.read(reading, 65536)
    writer.close(5.0)
    os.close(writing)
    while more := os.read(reading, 65536):
        text += more
    os.close(reading)
    *lines, told = [json.loads(line)["event"] for line in text.splitlines()]
    assert [int(line) for line in lines] == sorted(int(line) for line in lines)
    assert int(told.split()[0]) == writer.dropped == total - len(lines)


def test_a_pipe_that_does_not_block_gets_every_line() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    writer = LogWriter(renderer("json"), logs._dropped, writing)
    writer.start()
    for number in range(1000):
        writer.put(entry("x" * 200 + str(number)))
    text = b""
    while text.count(b"\n") < 1000:
        assert select.select([reading], [], [], 10)[0]
        text += os.read(reading, 512)
    writer.close(5.0)
    assert writer.dropped == 0
    os.close(reading)
    os.close(writing)

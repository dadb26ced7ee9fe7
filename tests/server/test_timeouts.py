"""Every wait for a client has an end; a handler's own time is its own business."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from springfield.server.limits import Limits
from tests.server.serving import Served, Setup, serving
from tests.server.test_exchange import get, post
from tests.server.wire import Answer, Reader

SHORT = 0.4
GRAIN = 0.01
"""Seconds by which clocks may differ: uvloop's has whole milliseconds."""

LIMITS = Limits()


@pytest.fixture
def hasty(request: pytest.FixtureRequest, loop_name: str) -> Iterator[Served]:
    """A server with one short timeout, the one that the test is about."""
    changes: dict[str, Any] = {request.param: SHORT}
    limits = replace(LIMITS, **changes)
    with serving(Setup("httptools", loop_name, limits)) as served:
        yield served


def over(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("hasty", [name], indirect=True)


def converse(served: Served, sent: bytes) -> tuple[Answer | None, float]:
    """Send, and return the answer, if there is one, and the time until the connection closed."""
    began = time.monotonic()
    with contextlib.closing(served.connect()) as sock:
        sock.sendall(sent)
        reader = Reader(sock)
        answer = reader.answer()
        assert reader.answer() is None
        return answer, time.monotonic() - began


@over("head_timeout")
@pytest.mark.parametrize("half", [b"\r\n", b"GET", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_a_head_that_does_not_end_is_answered_with_408(hasty: Served, half: bytes) -> None:
    answer, seconds = converse(hasty, half)
    assert answer is not None
    assert answer.status == 408
    assert b'"request-timeout"' in answer.body
    assert SHORT - GRAIN <= seconds < 4
    (told,) = hasty.refused
    assert (told.method, told.route, told.status) == ("OTHER", "(refused)", 408)
    assert told.size == len(answer.body)
    assert told.trace.trace_id.encode() in answer.body
    assert told.seconds > SHORT / 2


@over("body_timeout")
def test_a_body_that_does_not_come_is_told_under_the_clients_trace_id(hasty: Served) -> None:
    trace = "a" * 32
    head = b"POST /probe?x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nTraceparent: 00-%b-%b-01"
    answer, _ = converse(hasty, head % (trace.encode(), b"b" * 16) + b"\r\n\r\n")
    assert answer is not None
    assert answer.status == 408
    (told,) = hasty.refused
    assert (told.method, told.path, told.status) == ("POST", "/probe", 408)
    assert told.trace.trace_id == trace
    assert trace.encode() in answer.body


@over("head_timeout")
def test_a_head_in_drops_is_answered_with_408(hasty: Served) -> None:
    """Each byte in time does not make the whole in time."""
    with contextlib.closing(hasty.connect()) as sock:
        reader = Reader(sock)
        sock.sendall(get("/probe"))
        assert reader.answer() is not None
        sock.settimeout(SHORT / 8)
        head = b"GET /probe HTTP/1.1\r\nX: " + b"y" * 100
        for byte in head:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                answer = reader.answer()
                break
        assert answer is not None
        assert answer.status == 408


@over("idle_timeout")
@pytest.mark.parametrize("sent", [b"", get("/probe")])
def test_an_idle_connection_is_closed_without_a_word(hasty: Served, sent: bytes) -> None:
    answer, seconds = converse(hasty, sent)
    assert (answer is None) == (not sent)
    assert not hasty.refused
    assert SHORT - GRAIN <= seconds < 4


@over("body_timeout")
@pytest.mark.parametrize("path", ["/echo", "/buffered"])
def test_a_body_that_stops_is_answered_with_408(hasty: Served, path: str) -> None:
    answer, seconds = converse(hasty, post(path, 10) + b"abc")
    assert answer is not None
    assert answer.status == 408
    assert SHORT - GRAIN <= seconds < 4


@over("body_timeout")
def test_the_handler_of_a_body_that_stops_is_told(hasty: Served) -> None:
    hasty.open_gate()
    answer, _ = converse(hasty, post("/sink", 10) + b"abc")
    assert answer is not None
    assert answer.status == 408
    assert [hasty.witness.next() for _ in range(3)] == ["began", "received", "gone"]
    assert hasty.witness.is_silent()


@over("body_timeout")
def test_a_slow_store_is_not_the_clients_fault(hasty: Served) -> None:
    with contextlib.closing(hasty.connect()) as sock:
        sock.sendall(post("/sink", 3) + b"abc")
        assert [hasty.witness.next() for _ in range(2)] == ["began", "received"]
        sock.settimeout(SHORT * 3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(20)
        hasty.open_gate()
        answer = Reader(sock).answer()
        assert answer is not None
        assert answer.status == 200


@over("head_timeout")
def test_a_slow_handler_is_not_cut_short(hasty: Served) -> None:
    with contextlib.closing(hasty.connect()) as sock:
        sock.sendall(get("/slow"))
        assert hasty.witness.next() == "waiting"
        sock.settimeout(SHORT * 3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(20)
        hasty.open_gate()
        answer = Reader(sock).answer()
        assert answer is not None
        assert answer.body == b"slow"


@over("write_timeout")
@pytest.mark.parametrize("path", ["/firehose?parts=1000", "/large"])
def test_a_client_that_does_not_read_is_cut_off(hasty: Served, path: str) -> None:
    with contextlib.closing(hasty.connect(receive_buffer=16 * 1024)) as sock:
        sock.sendall(get(path))
        events = {hasty.witness.next()}
        if events == {"finished"}:
            events = {hasty.witness.next()}
        assert events <= {"gone", "closed", "failed"}


@over("write_timeout")
def test_a_slow_reader_that_reads_is_not_cut_off(hasty: Served) -> None:
    with contextlib.closing(hasty.connect(receive_buffer=16 * 1024)) as sock:
        sock.sendall(get("/large"))
        size = 0
        began = time.monotonic()
        while time.monotonic() - began < SHORT * 3:
            size += len(sock.recv(64 * 1024))
            time.sleep(SHORT / 20)  # this client is slow: that is the point
        assert 0 < size < 4 * 1024 * 1024
        while size < 4 * 1024 * 1024:
            data = sock.recv(1024 * 1024)
            assert data, "cut off"
            size += len(data)


@over("linger_timeout")
@pytest.mark.parametrize("sent", [b"GET / HTTP/3.0\r\n\r\n", post("/early", 10)])
def test_a_client_that_does_not_close_after_its_refusal_is_closed(
    hasty: Served, sent: bytes
) -> None:
    with contextlib.closing(hasty.connect()) as sock:
        sock.sendall(sent)
        assert Reader(sock).answer() is not None
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - began < 10:
                sock.sendall(b"x")
                time.sleep(SHORT / 10)  # a client that goes on and on
        assert time.monotonic() - began < 8


@over("half_closed_timeout")
def test_a_client_that_is_gone_is_told_from_one_that_has_only_said_everything(
    hasty: Served,
) -> None:
    with contextlib.closing(hasty.connect()) as sock:
        sock.sendall(get("/slow"))
        assert hasty.witness.next() == "waiting"
        began = time.monotonic()
        sock.close()
        assert hasty.witness.next() == "gone"
        assert SHORT - GRAIN <= time.monotonic() - began < 4

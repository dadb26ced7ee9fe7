"""One request and its answer on our engine: order, Expect, early answers, clients that go away."""

import contextlib
import socket

import pytest

from springfield.server.engine.connections import READ_SIZE
from springfield.server.limits import Limits
from tests.server.serving import Served, Setup, serving
from tests.server.wire import Reader


def get(path: str, *fields: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: a", *fields, "", ""]
    return "\r\n".join(lines).encode()


def post(path: str, length: int, *fields: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {length}", *fields, "", ""]
    return "\r\n".join(lines).encode()


def test_pipelined_requests_are_handled_one_at_a_time(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(get("/slow") * 2 + get("/probe"))
        reader = Reader(sock)
        assert own.witness.next() == "waiting"
        own.call(lambda: None)
        assert own.witness.is_silent(), "the second request was begun before the first was answered"
        own.open_gate()
        bodies = [answer.body for _ in range(3) if (answer := reader.answer())]
        assert bodies == [b"slow", b"slow", b"probe"]


def test_a_client_that_pipelines_without_end_is_not_read_without_end(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(get("/slow"))
        assert own.witness.next() == "waiting"
        sock.setblocking(False)  # noqa: FBT003
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 64 * 1024 * 1024:
                sent += sock.send(get("/probe") * 2000)
        assert READ_SIZE < sent < 32 * 1024 * 1024, "the sockets' buffers are full, and no more"


def test_continue_is_sent_when_the_handler_wants_the_body(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        reader = Reader(sock)
        sock.sendall(post("/preparing", 3, "Expect: 100-continue"))
        assert own.witness.next() == "preparing"
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(20)
        own.open_gate()
        interim = reader.answer()
        assert interim is not None
        assert interim.status == 100
        sock.sendall(b"abc" + get("/probe"))
        answer = reader.answer()
        assert answer is not None
        assert answer.body == b"3"
        assert reader.answer() is not None, "the connection is still good"


def test_continue_is_not_sent_to_a_client_that_did_not_wait(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(post("/echo", 3, "Expect: 100-continue") + b"abc")
        answer = Reader(sock).answer()
        assert answer is not None
        assert answer.status == 200


def test_an_early_answer_instead_of_continue_ends_the_connection(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        reader = Reader(sock)
        sock.sendall(post("/early", 3, "Expect: 100-continue"))
        answer = reader.answer()
        assert answer is not None
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert reader.answer() is None


@pytest.mark.parametrize("path", ["/early", "/early?close"])
def test_an_early_answer_reaches_a_client_that_sends_on(own: Served, path: str) -> None:
    size = 6 * 1024 * 1024
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(post(path, size))
        sock.sendall(bytes(size))
        answer = Reader(sock).answer()
        assert answer is not None
        assert answer.body == b"too large"


def test_a_refused_body_is_not_read_away_without_end(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(post("/early", 10**12))
        sent = 0
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while sent < 10**9:
                sock.sendall(bytes(1024 * 1024))
                sent += 1024 * 1024
        assert sent < 64 * 1024 * 1024


def test_the_delegate_is_told_that_an_early_answered_request_is_over(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(post("/early", 3) + b"abc" + get("/probe"))
        reader = Reader(sock)
        assert reader.answer() is not None
        assert reader.answer() is not None
    assert own.witness.next() == "gone"
    own.call(lambda: None)
    assert own.witness.is_silent()


def test_a_client_that_goes_away_is_noticed_once_while_its_handler_runs(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(get("/slow"))
        assert own.witness.next() == "waiting"
    assert own.witness.next() == "gone"
    own.open_gate()
    own.call(lambda: None)
    assert own.witness.is_silent()


def test_a_reset_is_noticed_at_once(own: Served) -> None:
    sock = own.connect()
    sock.sendall(get("/slow"))
    assert own.witness.next() == "waiting"
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    assert own.witness.next() == "gone"


def test_a_client_that_goes_away_within_its_body_is_noticed_once(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(post("/sink", 10) + b"abc")
        assert own.witness.next() == "began"
        assert own.witness.next() == "received"
    assert own.witness.next() == "gone"
    own.open_gate()
    own.call(lambda: None)
    assert own.witness.is_silent()


def test_a_client_that_only_shuts_down_its_sending_side_gets_its_answer(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(get("/slow") + get("/probe"))
        sock.shutdown(socket.SHUT_WR)
        assert own.witness.next() == "waiting"
        own.open_gate()
        reader = Reader(sock)
        first, second = reader.answer(), reader.answer()
        assert first is not None
        assert second is not None
        assert (first.body, second.body) == (b"slow", b"probe")
        assert reader.answer() is None


def test_a_half_closed_upload_gets_its_answer(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(post("/preparing", 3) + b"abc")
        sock.shutdown(socket.SHUT_WR)
        assert own.witness.next() == "preparing"
        own.open_gate()
        answer = Reader(sock).answer()
        assert answer is not None
        assert answer.body == b"3"


def test_half_a_request_and_an_end_of_file_get_no_answer(own: Served) -> None:
    for half in (b"GET / HT", post("/echo", 3) + b"ab"):
        with contextlib.closing(own.connect()) as sock:
            sock.sendall(half)
            sock.shutdown(socket.SHUT_WR)
            assert Reader(sock).answer() is None


def test_a_defect_before_the_answer_is_a_problem(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(post("/failing", 3) + b"abc")
        reader = Reader(sock)
        answer = reader.answer()
        assert answer is not None
        assert answer.status == 500
        assert b'"internal-error"' in answer.body
        assert b"a defect" not in answer.body
        assert reader.answer() is None


def test_an_answer_that_is_too_short_ends_in_a_cut_connection(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(get("/short"))
        with pytest.raises(AssertionError, match="in the middle"):
            Reader(sock).answer()


def test_answers_say_close_once_the_server_stops_and_no_connection_is_accepted(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(get("/slow"))
        assert own.witness.next() == "waiting"
        own.call(own.engine.stop_listening)
        with pytest.raises(ConnectionRefusedError):
            own.connect()
        own.open_gate()
        reader = Reader(sock)
        answer = reader.answer()
        assert answer is not None
        assert answer.headers["connection"] == "close"
        assert reader.answer() is None


def test_a_server_that_closes_tells_the_handlers_in_flight(loop_name: str) -> None:
    with serving(Setup("httptools", loop_name, Limits())) as served:
        sock = served.connect()
        sock.sendall(get("/slow"))
        assert served.witness.next() == "waiting"
    assert served.witness.next() == "gone"
    assert Reader(sock).answer() is None
    sock.close()

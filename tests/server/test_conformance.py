"""The wire, seen by raw sockets, on both engines and both event loops."""

import contextlib
import json
import re
import socket
from pathlib import Path

import pytest

from tests.server.cases import CASES, TORNADO, Case
from tests.server.serving import Served
from tests.server.wire import Answer, Reader

PROBE = b"GET /probe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("case", CASES, ids=[case.name.replace(" ", "-") for case in CASES])
def test_a_request_has_the_outcome_of_the_table(shared: Served, case: Case) -> None:
    is_tornado = shared.setup.engine == "tornado"
    expected = TORNADO.get(case.name, case.outcome) if is_tornado else case.outcome
    answers, outcome = converse(shared, case, expected)
    assert outcome == expected
    if case.seen is not None and expected == case.outcome:
        seen = json.loads(answers[-1].body)
        assert {name: seen[name] for name in case.seen} == case.seen
    if not is_tornado:
        check_refusals(answers)


def test_the_differences_are_those_of_the_reference() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text()
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \|$", text, re.MULTILINE)
    ours = {case.name: case.outcome for case in CASES}
    assert rows == [(name, ours[name], theirs) for name, theirs in TORNADO.items()]


def test_the_names_of_the_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def test_a_head_that_comes_byte_by_byte_is_read_alike(own: Served) -> None:
    """The parser is fed in pieces then, and must refuse the same."""
    for case in CASES:
        if len(case.sent) > 400 or case.outcome.count(" ") != 1:
            continue
        with contextlib.closing(own.connect()) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                for byte in case.sent:
                    sock.sendall(bytes([byte]))
            reader = Reader(sock)
            answer = reader.answer(case.method)
            if answer is not None and answer.status == 100:  # the body was not there yet
                answer = reader.answer(case.method)
            assert answer is not None, case.name
            assert str(answer.status) == case.outcome.split()[0], case.name


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", [200]),
        (b"GET /echo HTTP/1.0\r\n\r\n", [200]),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", [200]),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n" * 3, [200, 200, 200]),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", [200]),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000, [200]),
    ],
)  # fmt: skip
def test_a_client_that_says_at_once_that_it_sends_no_more_gets_its_answers(
    own: Served, sent: bytes, statuses: list[int]
) -> None:
    for _ in range(20):  # the end may be read with the request, or behind it
        with contextlib.closing(own.connect()) as sock:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            reader = Reader(sock)
            answers = [reader.answer() for _ in statuses]
            assert [answer and answer.status for answer in answers] == statuses


def converse(served: Served, case: Case, expected: str) -> tuple[list[Answer], str]:
    """Send the case, read as many answers as are expected, and see whether another one is given."""
    with contextlib.closing(served.connect()) as sock:
        reader = Reader(sock)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(case.sent)
        if expected == "no end":
            sock.settimeout(0.5)
            with pytest.raises(TimeoutError):
                reader.answer(case.method)
            return [], expected
        answers = []
        for _ in expected.split()[:-1]:
            answer = reader.answer(case.method)
            if answer is None:
                break
            answers.append(answer)
        statuses = [str(answer.status) for answer in answers]
        return answers, " ".join([*statuses, "open" if is_open(sock, reader) else "closed"])


def is_open(sock: socket.socket, reader: Reader) -> bool:
    """Tell whether another request is answered, and nothing else comes before its answer."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        sock.sendall(PROBE)
    probe = reader.answer()
    if probe is None:
        return False
    assert probe.body == b"probe"
    assert reader.rest() == b""
    return True


def check_refusals(answers: list[Answer]) -> None:
    """See that what the engine refused is a problem, whose status is the answer's."""
    for answer in answers:
        if answer.status >= 400 and answer.headers["content-type"] == "application/problem+json":
            assert json.loads(answer.body)["status"] == answer.status
            assert answer.headers["connection"] == "close"

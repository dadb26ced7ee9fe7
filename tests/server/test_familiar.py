"""Heads that are recognised mean what they meant when they were parsed, whatever stands before and behind."""

import pytest

from springfield.server.engine.familiar import KEPT, SIZE, FamiliarHeads
from springfield.server.engine.parser import RequestParser
from springfield.server.engine.refusals import Refusal
from springfield.server.limits import Limits
from tests.server.cases import CASES, END, GET, HOST, POST, Case, request

LIMITS = Limits()
LINES = (
    *sorted({case.sent.split(b"\r\n")[0] for case in CASES if len(case.sent) < SIZE}),
    *(method + b" /echo HTTP/1.1" for method in (b"HEAD", b"PUT", b"CONNECT", b"TRACE", b"get")),
    b"GET /echo HTTP/1.0",
    b"GET /" + b"a" * LIMITS.target_size + b" HTTP/1.1",
)


def read(sent: bytes, familiar: FamiliarHeads) -> list[object]:
    """Return what a connection would take `sent` for: requests, and perhaps a refusal."""
    parser = RequestParser(LIMITS, familiar)
    read: list[object] = []
    position, body = 0, b""
    try:
        while position < len(sent):
            position = parser.feed(sent, position)
            body += parser.take_body()
            if parser.is_complete:
                assert parser.head is not None
                head = parser.head
                fields = list(head.headers.get_all())
                told = (head.length, head.is_kept_alive, head.is_expecting, head.scheme)
                read.append((head.start_line, fields, told, body))
                parser.next()
                body = b""
    except Refusal as refusal:
        return [*read, refusal.code, str(refusal)]
    return [*read, parser.is_between, body]


@pytest.mark.parametrize("case", CASES, ids=[case.name.replace(" ", "-") for case in CASES])
def test_a_request_that_came_before_is_taken_for_the_same(case: Case) -> None:
    familiar = FamiliarHeads(LIMITS)
    parsed = read(case.sent, familiar)
    assert read(case.sent, familiar) == parsed


def test_the_same_fields_behind_any_other_line_mean_the_same() -> None:
    familiar = FamiliarHeads(LIMITS)
    blocks = {case.sent.partition(b"\r\n")[2] for case in CASES if len(case.sent) < SIZE}
    for block in sorted(blocks):
        for method in (b"GET", b"PUT"):
            read(method + b" /echo HTTP/1.1\r\n" + block, familiar)
        for line in LINES:
            sent = line + b"\r\n" + block
            assert read(sent, familiar) == read(sent, FamiliarHeads(LIMITS)), sent


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        (GET + END, True),
        (POST + b"Content-Length: 3\r\n\r\n", True),
        (POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n", False),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", False),
        (GET + b"Connection: close\r\n\r\n", False),
        (GET + b"Upgrade: h2c\r\n\r\n", False),
        (GET + b"Cookie: a\r\nCookie: b\r\n\r\n", False),
        (request(b"GET /echo HTTP/1.0"), False),
        (request(b"GET http://a.example/echo HTTP/1.1"), False),
        (GET + b"X: " + b"x" * SIZE + b"\r\n\r\n", False),
    ],
)
def test_only_what_is_plain_is_kept(sent: bytes, is_kept: bool) -> None:
    familiar = FamiliarHeads(LIMITS)
    read(sent, familiar)
    assert (familiar.find(sent, 0) is not None) is is_kept


def test_what_a_handler_does_to_its_fields_is_not_seen_by_the_next_request() -> None:
    familiar = FamiliarHeads(LIMITS)
    read(GET + END, familiar)
    for _ in range(2):
        found = familiar.find(GET + END, 0)
        assert found is not None
        assert list(found[0].headers.get_all()) == [("Host", "a.example")]
        found[0].headers["Host"] = "another"
        found[0].headers["X"] = "y"


def test_many_different_clients_are_not_kept_for_ever() -> None:
    familiar = FamiliarHeads(LIMITS)
    sent = [GET + b"X: %d\r\n\r\n" % number for number in range(KEPT + 1)]
    for each in sent:
        read(each, familiar)
    kept = [each for each in sent if familiar.find(each, 0) is not None]
    assert kept == [sent[-1]]


def test_smaller_limits_hold_for_what_is_recognised() -> None:
    familiar = FamiliarHeads(Limits(head_size=100, target_size=20))
    read(GET + END, familiar)
    assert familiar.find(GET + END, 0) is not None
    assert familiar.find(b"GET /" + b"a" * 20 + b" HTTP/1.1\r\n" + HOST + END, 0) is None

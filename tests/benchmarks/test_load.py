"""The load generator tells right answers from wrong ones: a fast wrong answer is worth nothing."""

import contextlib
import http.server
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from benchmarks.load import Measured, Order, measure
from benchmarks.works import GREETING, SMALL, Case, document_of, name_of, value_of

GREET = Case("greeting", 4)
READ = Case("redis-read", 4)


@contextlib.contextmanager
def answering(answer: Callable[[str], tuple[int, bytes]]) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def loaded(case: Case, answer: Callable[[str], tuple[int, bytes]]) -> Measured:
    with answering(answer) as port:
        return measure(Order(case, port, (os.getpid(),), 0.3))


def name_in(path: str) -> str:
    return path.rpartition("/")[2]


def test_right_answers_are_counted_and_nothing_is_wrong() -> None:
    found = loaded(READ, lambda path: (200, value_of(name_in(path), SMALL)))
    assert found.requests > 0
    assert found.answered >= found.requests
    assert found.cost > 0
    assert found.p50 <= found.p99 <= found.p999
    assert not found.wrong


@pytest.mark.parametrize(
    ("case", "answer", "wrong"),
    [
        (GREET, lambda _: (200, GREETING[:-1]), "another body"),
        (READ, lambda _: (200, value_of(name_of(SMALL, 1), SMALL)), "another body"),
        (READ, lambda path: (404, value_of(name_in(path), SMALL)), "status 404"),
        (GREET, lambda _: (500, GREETING), "status 500"),
    ],
)
def test_wrong_answers_are_told(
    case: Case, answer: Callable[[str], tuple[int, bytes]], wrong: str
) -> None:
    assert wrong in loaded(case, answer).wrong


def test_no_two_names_hold_the_same_value_or_document() -> None:
    names = [name_of(SMALL, number) for number in range(1000)]
    assert len({value_of(name, SMALL) for name in names}) == len(names)
    assert {len(value_of(name, SMALL)) for name in names} == {SMALL}
    assert len({str(document_of(name, SMALL)) for name in names}) == len(names)

"""Nobody is faster than the other side: memory stays bounded in both directions."""

import contextlib
import time
from collections.abc import Callable

from springfield.server.engine.connections import READ_SIZE
from tests.server.application import PART
from tests.server.serving import Served
from tests.server.test_exchange import get, post
from tests.server.wire import Reader


def test_a_slow_store_stops_the_reading_of_a_body(own: Served) -> None:
    size = 32 * 1024 * 1024
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(post("/sink", size))
        assert own.witness.next() == "began"
        sock.setblocking(False)  # noqa: FBT003
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < size:
                sent += sock.send(bytes(min(256 * 1024, size - sent)))
        assert sent < size, "the sockets' buffers are full"
        assert own.witness.next() == "received"
        own.call(lambda: None)
        assert 0 < own.witness.received <= READ_SIZE
        own.open_gate()
        sock.settimeout(20)
        sock.sendall(bytes(size - sent))
        answer = Reader(sock).answer()
        assert answer is not None
        assert int(answer.body) == size


def test_a_slow_reader_stops_the_writing(own: Served) -> None:
    parts = 256
    with contextlib.closing(own.connect(receive_buffer=16 * 1024)) as sock:
        sock.sendall(get(f"/firehose?parts={parts}"))
        assert standstill(lambda: own.witness.written) < parts * len(PART) / 2
        answer = Reader(sock).answer()
        assert answer is not None
        assert len(answer.body) == parts * len(PART)


def test_answers_are_not_piled_up_for_a_client_that_only_sends(own: Served) -> None:
    parts = 8
    with contextlib.closing(own.connect(receive_buffer=16 * 1024)) as sock:
        sock.sendall(get(f"/firehose?parts={parts}") * 100)
        assert standstill(lambda: own.witness.written) < 50 * parts * len(PART)
        reader = Reader(sock)
        for _ in range(100):
            answer = reader.answer()
            assert answer is not None
            assert len(answer.body) == parts * len(PART)


def test_finish_resolves_when_the_answer_was_taken(own: Served) -> None:
    with contextlib.closing(own.connect(receive_buffer=16 * 1024)) as sock:
        sock.sendall(get("/large"))
        assert own.witness.next() == "finished"
        own.call(lambda: None)
        assert own.witness.is_silent(), "the kernel has not taken it all"
        answer = Reader(sock).answer()
        assert answer is not None
        assert own.witness.next() == "landed"


def test_finish_fails_when_the_client_goes_away_before_it_took_the_answer(own: Served) -> None:
    with contextlib.closing(own.connect(receive_buffer=16 * 1024)) as sock:
        sock.sendall(get("/large"))
        assert own.witness.next() == "finished"
    assert own.witness.next() == "failed"


def test_a_streaming_handler_is_told_when_its_client_goes_away(own: Served) -> None:
    with contextlib.closing(own.connect()) as sock:
        sock.sendall(get("/firehose?parts=100000"))
        assert len(sock.recv(1000)) > 0
    assert own.witness.next() in {"gone", "closed"}  # whichever it hears first


def standstill(measure: Callable[[], int]) -> int:
    """Wait until `measure` gives the same twice, a while apart, and return it."""
    before = -1
    while before != (now := measure()) or not now:
        before = now
        time.sleep(0.2)
    return now

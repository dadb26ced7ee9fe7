"""What happens to requests beyond the most that a process works on."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.service import ServiceProcess, running

UPLOAD = b"POST /api/v1/lisas/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\ns"
GREETING = b"GET /api/v1/flanders HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def service(engine: str, tmp_path: Path) -> Iterator[ServiceProcess]:
    with running(tmp_path, f"--engine={engine}", "--max-requests=2") as service:
        yield service


@contextmanager
def uploads(service: ServiceProcess, count: int) -> Iterator[list[socket.socket]]:
    """Have so many requests in flight: their bodies are one byte of three long."""
    with ExitStack() as stack:
        clients = []
        for number in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            client.settimeout(30)
            client.sendall(UPLOAD % f"held{number}".encode())
            clients.append(client)
        # The healthcheck is answered in any case, and behind them in the queue of the kernel.
        assert service.get("/api/v1/healthcheck").status == 200
        yield clients


def test_what_is_too_much_is_refused_at_once_and_says_when_to_come_back(
    service: ServiceProcess,
) -> None:
    with uploads(service, 2) as clients:
        answer = service.get("/api/v1/flanders?x=1")
        assert answer.status == 503
        assert answer.problem["code"] == "overloaded"
        assert answer.problem["instance"] == "/api/v1/flanders"
        assert 1 <= int(answer.headers["retry-after"]) <= 3
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert service.request("HEAD", "/api/v1/flanders").body == b""
        assert service.post("/api/v1/lisas/refused", b"x" * 500_000).status == 503
        for client in clients:
            client.sendall(b"ax")
            assert client.recv(65536).startswith(b"HTTP/1.1 204 ")
    assert service.get("/api/v1/lisas/held1").body == b"sax"
    assert service.get("/api/v1/lisas/refused").status == 404


def test_health_is_asked_whatever_the_load(service: ServiceProcess) -> None:
    with uploads(service, 2):
        assert service.get("/api/v1/flanders").status == 503
        assert service.get("/api/v1/healthcheck").body == b"OK"


def test_who_waits_for_a_change_takes_nobodys_place(service: ServiceProcess) -> None:
    service.post("/api/v1/lisas/watched", b"old")
    tag = service.get("/api/v1/lisas/watched").headers["etag"]
    with ThreadPoolExecutor(5) as pool:
        wait = {"If_None_Match": tag, "Prefer": "wait=30"}
        futures = []
        for _ in range(5):  # one after the other: while they arrive they count
            futures.append(pool.submit(service.get, "/api/v1/lisas/watched", **wait))
            with pytest.raises(TimeoutError):
                futures[-1].result(timeout=0.3)
        assert service.get("/api/v1/flanders").status == 200
        assert service.post("/api/v1/lisas/watched", b"new").status == 204
        assert {future.result(timeout=10).body for future in futures} == {b"new"}


def test_who_asks_again_at_once_waits_on_a_connection_that_is_not_read(
    service: ServiceProcess, engine: str
) -> None:
    if engine == "tornado":  # there the refusal closes the connection
        with uploads(service, 2):
            assert service.get("/api/v1/flanders").headers["connection"] == "close"
        return
    with uploads(service, 2), socket.create_connection(("127.0.0.1", service.port)) as client:
        client.settimeout(30)
        refusals = 0
        started = time.monotonic()
        while refusals < 3:
            client.sendall(GREETING)
            assert client.recv(65536).startswith(b"HTTP/1.1 503 ")
            refusals += 1
        assert time.monotonic() - started > 2 * 0.5  # the least of two rests
    assert service.get("/api/v1/flanders").status == 200


def test_refusals_are_told_in_a_line_a_second(service: ServiceProcess) -> None:
    with uploads(service, 2):
        for _ in range(20):
            assert service.get("/api/v1/flanders").status == 503
        told = "requests were refused within a second: 2 were in flight already (max_requests)"
        deadline = time.monotonic() + 10
        while told not in service.errors():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert service.errors().count(told) <= 5

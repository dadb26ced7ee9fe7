"""How the real process stops: who is served, who is told to go, and what nobody notices."""

import contextlib
import hashlib
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.namespaces import require_namespaces
from tests.process.crowd import Crowd
from tests.process.outside import children_of, is_listening
from tests.service import ServiceProcess, running, wait_for

ENGINES = pytest.mark.parametrize("engine", ["httptools", "tornado"])
GET = b"GET /api/v1/flanders HTTP/1.1\r\nHost: localhost\r\n\r\n"


@ENGINES
def test_no_request_is_lost_when_clients_move_on_to_a_second_instance(
    tmp_path: Path, engine: str
) -> None:
    """200 requests a second of 300 ms each on kept connections, SIGTERM in the middle."""
    flags = ["--log-level=warning", f"--engine={engine}", "--drain-delay=2"]
    (tmp_path / "one").mkdir()
    with (
        ServiceProcess(tmp_path / "one", *flags, "--data-dir=../data") as one,
        running(tmp_path, *flags, "--data-dir=data") as other,
    ):
        with Crowd([one.port, other.port], clients=60, hold=0.3) as crowd:
            wait_for(lambda: crowd.answered[one.port] > 300)
            started = time.monotonic()
            assert one.stop() == 0
            assert time.monotonic() - started < 2 + 10
            moved = crowd.answered[other.port]
            wait_for(lambda: crowd.answered[other.port] > moved + 200)
        assert crowd.failures == []
    assert "Traceback" not in one.errors()


@ENGINES
def test_a_large_download_in_flight_arrives_whole(tmp_path: Path, engine: str) -> None:
    content = os.urandom(30 * 1024 * 1024)
    with ServiceProcess(tmp_path, f"--engine={engine}", "--shutdown-timeout=60") as service:
        assert service.post("/api/v1/bart", content).status == 204
        hashed = hashlib.sha256()
        with service.streaming("/api/v1/bart") as answer:
            hashed.update(answer.read(64 * 1024))
            service.process.send_signal(signal.SIGTERM)
            wait_for(lambda: not is_listening(service.port))
            for chunk in iter(lambda: answer.read(1024 * 1024), b""):
                hashed.update(chunk)
                time.sleep(0.02)  # it is the pace of this client
        assert hashed.digest() == hashlib.sha256(content).digest()
        assert service.stop(None) == 0
        assert "in time" not in service.errors()


@ENGINES
def test_during_the_delay_all_are_served_and_told_to_go(tmp_path: Path, engine: str) -> None:
    with ServiceProcess(tmp_path, f"--engine={engine}", "--drain-delay=60") as service:
        service.post("/api/v1/lisas/x", b"1")
        tag = service.get("/api/v1/lisas/x").headers["etag"]
        with socket.create_connection(("127.0.0.1", service.port)) as waiting:
            waiting.sendall(
                b"GET /api/v1/lisas/x HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=60\r\n"
                b"If-None-Match: " + tag.encode() + b"\r\n\r\n"
            )
            before = service.get("/api/v1/flanders")
            assert "connection" not in before.headers
            service.process.send_signal(signal.SIGTERM)
            released = waiting.recv(65536)
            assert released.startswith(b"HTTP/1.1 304 ")
            assert b"connection: close\r\n" in released.lower()
        for path in ("/api/v1/flanders", "/api/v1/lisas/x", "/nowhere"):
            assert service.get(path).headers["connection"] == "close"
        assert service.post("/api/v1/lisas/x", b"2").status == 204
        assert service.stop(signal.SIGTERM) == 128 + signal.SIGTERM


def test_sigint_does_not_wait_for_the_delay(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path, "--drain-delay=60") as service:
        assert service.stop(signal.SIGINT) == 0


@ENGINES
def test_who_is_connected_to_the_kernel_alone_is_answered(tmp_path: Path, engine: str) -> None:
    """The kernel resets what nobody has accepted when the socket is closed."""
    with ServiceProcess(tmp_path, f"--engine={engine}") as service:
        service.process.send_signal(signal.SIGSTOP)
        clients = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(50)]
        for client in clients:
            client.sendall(GET)
        service.process.send_signal(signal.SIGTERM)
        service.process.send_signal(signal.SIGCONT)
        for client in clients:
            with client:
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert service.stop(None) == 0


def test_who_has_just_connected_may_send_a_request(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            wait_for(lambda: service.get("/api/v1/flanders").status == 200)  # it is accepted by now
            service.process.send_signal(signal.SIGTERM)
            wait_for(lambda: not is_listening(service.port))
            client.sendall(GET)
            answer = client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in answer.lower()
        assert service.stop(None) == 0


@ENGINES
def test_an_idle_connection_ends_without_a_reset(tmp_path: Path, engine: str) -> None:
    with (
        ServiceProcess(tmp_path, f"--engine={engine}") as service,
        socket.create_connection(("127.0.0.1", service.port)) as client,
    ):
        client.sendall(GET)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert service.stop() == 0
        assert client.recv(65536) == b""


def test_a_request_that_does_not_end_is_given_up_after_the_timeout(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path, "--shutdown-timeout=0.5") as service:
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(
                b"POST /api/v1/lisas/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\ns"
            )
            wait_for(lambda: service.get("/api/v1/flanders").status == 200)
            assert service.stop() == 0
        assert "1 requests did not finish in time" in service.errors()


def test_two_services_share_a_port_if_both_wish_so(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    with (
        ServiceProcess(tmp_path / "old", "--reuse-port") as old,
        running(tmp_path / "new", "--reuse-port", f"--port={old.port}") as new,
    ):
        assert new.port == old.port
        for _ in range(40):
            assert new.get("/api/v1/flanders").status == 200
        assert old.stop() == 0
        for _ in range(40):
            assert new.get("/api/v1/flanders").status == 200
    assert all("GET" in each.errors() for each in (old, new))


class Poor(ServiceProcess):
    launcher = ("prlimit", "--nofile=64")


@ENGINES
def test_when_no_descriptors_are_left_others_are_served_later(tmp_path: Path, engine: str) -> None:
    with Poor(tmp_path, f"--engine={engine}") as service:
        clients = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(80)]
        wait_for(lambda: "no connection is accepted" in service.errors())
        assert service.errors().count("no connection is accepted") < 10
        for client in clients:
            client.close()
        assert service.get("/api/v1/flanders").status == 200
        assert service.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_as_process_1_of_a_container_it_obeys_and_reaps(tmp_path: Path, workers: str) -> None:
    """Process 1 has no default action for any signal, and orphans are its children."""
    require_namespaces("--pid", "--fork", "--mount-proc")
    with InNamespace(tmp_path, f"--workers={workers}") as service:
        (first,) = children_of(service.process.pid)
        assert f"NSpid:\t{first}\t1\n" in Path(f"/proc/{first}/status").read_text()
        enter = f"nsenter --target={first} --pid --mount"
        assert os.system(f"{enter} sh -c '(sleep 0.1 & true)'") == 0
        wait_for(lambda: orphans_of(first) == 0)
        os.kill(first, signal.SIGTERM)
        assert service.stop(None) == 0
        assert "Traceback" not in service.errors()


class InNamespace(ServiceProcess):
    launcher = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def orphans_of(pid: int) -> int:
    """Count the children that are no Springfield: they sleep, or are zombies."""
    found = 0
    for child in children_of(pid):
        with contextlib.suppress(OSError):  # it is gone
            found += b"springfield" not in Path(f"/proc/{child}/cmdline").read_bytes()
    return found


@pytest.mark.parametrize("engine", ["httptools", "tornado"])
def test_what_was_sent_behind_the_last_answer_of_a_connection_is_not_done(
    tmp_path: Path, engine: str
) -> None:
    with ServiceProcess(tmp_path, f"--engine={engine}") as service:
        service.post("/api/v1/lisas/watched", b"old")
        tag = service.get("/api/v1/lisas/watched").headers["etag"].encode()
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.settimeout(10)
            client.sendall(
                b"GET /api/v1/lisas/watched HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: "
                + tag
                + b"\r\nPrefer: wait=30\r\n\r\n"
                b"PUT /api/v1/lisas/behind HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nsax"
            )
            assert service.get("/api/v1/flanders").status == 200
            service.process.send_signal(signal.SIGTERM)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while more := client.recv(65536):
                    received += more
        assert service.stop(None) == 0
    assert received.startswith(b"HTTP/1.1 304 ")
    assert b"\r\nConnection: close\r\n" in received
    assert received.count(b"HTTP/1.1 ") == 1
    with running(tmp_path) as service:
        assert service.get("/api/v1/lisas/behind").status == 404

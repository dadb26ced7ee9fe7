"""The log of the real process: what is in its lines, and that nobody waits for them."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from springfield.observability.log_writer import LIMIT
from tests.service import clean_environment, running

PIPE_SIZE = 4096
BATCH = 200
ENOUGH = LIMIT // BATCH * BATCH + 5 * BATCH
"""Requests that fill the queue, and more."""


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_request_has_one_line_without_its_secrets(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        answer = service.post("/api/v1/lisas/a/b?ttl=100&token=hunter2", b"hunter2")
        assert answer.status == 204
        trace = "a" * 32
        parent = f"00-{trace}-{'b' * 16}-01"
        assert service.get("/api/v1/lisas/a/b", Authorization="hunter2").body == b"hunter2"
        assert service.get("/nowhere?hunter2", Traceparent=parent).status == 404
    text = service.errors()
    assert "hunter2" not in text
    first, second, third = [line for line in lines_of(text) if line["event"] == "request"]
    told = ("method", "route", "path", "status", "bytes", "client")
    name, route = "/api/v1/lisas/a/b", "/api/v1/lisas/{name}"
    assert [first[key] for key in told] == ["POST", route, name, 204, 0, "127.0.0.1"]
    assert [second[key] for key in told] == ["GET", route, name, 200, 7, "127.0.0.1"]
    assert [third[key] for key in told[:4]] == ["GET", "(none)", "/nowhere", 404]
    assert third["trace_id"] == trace
    events = [line["event"] for line in lines_of(text)]
    assert events[0].startswith("started: springfield")
    assert events[-1] == "stopped"


def test_the_failure_of_a_store_is_logged_under_the_trace_id_of_the_answer(tmp_path: Path) -> None:
    with running(tmp_path, "--marges-url=redis://:hunter2@127.0.0.1:1/0") as service:
        problem = service.get("/api/v1/marges/x").problem
    lines = [
        line for line in lines_of(service.errors()) if line.get("trace_id") == problem["trace_id"]
    ]
    assert {line["logger"] for line in lines} == {"springfield.web", "springfield.access"}
    assert "hunter2" not in service.errors()


def test_a_wait_is_not_slow_and_a_slow_request_is_a_warning(tmp_path: Path) -> None:
    flags = ("--log-level=warning", "--slow-request=0.9")
    with running(tmp_path, *flags) as service:
        tag = service.post("/api/v1/lisas/x", b"x").headers["etag"]
        waited = service.get("/api/v1/lisas/x", If_None_Match=tag, Prefer="wait=1")
        assert waited.status == 304
    assert lines_of(service.errors()) == []
    with running(tmp_path, "--log-level=warning", "--slow-request=0.000001") as service:
        service.get("/api/v1/flanders")
    (line,) = lines_of(service.errors())
    assert (line["level"], line["route"]) == ("warning", "/api/v1/flanders")


def test_the_console_form_keeps_a_request_on_its_line(tmp_path: Path) -> None:
    with (
        running(tmp_path, "--log-format=console", "--engine=tornado") as service,
        socket.create_connection(("127.0.0.1", service.port)) as client,
    ):
        head = b"GET /api/v1/lisas/\x1b[31m\x0bforged HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client.sendall(head)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
        service.get("/api/v1/flanders")
    text = service.errors()
    assert re.search(r"\[info +\] request .*flanders", text)
    assert not re.search("[\x00-\x09\x0b-\x1f]", text)


@contextmanager
def with_a_pipe_for_stderr(directory: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run the service with a tiny pipe that nobody reads; give it and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "springfield", "serve", "--port=0"],
        cwd=directory,
        env=clean_environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        fcntl.fcntl(process.stderr.fileno(), fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        banner = ""
        while "Ctrl+C" not in banner:
            line = process.stdout.readline().decode()
            assert line
            banner += line
        port = re.search(r"http://\S+:(\d+)", banner)
        assert port is not None
        yield process, int(port[1])
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()
        process.wait()


def greet(port: int, times: int) -> None:
    """Send so many pipelined requests, and read all their answers."""
    head = b"GET /api/v1/flanders HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        for _ in range(times // BATCH):
            client.sendall(head * BATCH)
            answered = b""
            while answered.count(b"neighborino!") < BATCH:
                answered += client.recv(1 << 20)


def test_a_stuck_reader_of_the_log_stops_neither_requests_nor_the_end(tmp_path: Path) -> None:
    with with_a_pipe_for_stderr(tmp_path) as (process, port):
        greet(port, ENOUGH)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_lines_that_were_dropped_are_told_when_the_reader_is_back(tmp_path: Path) -> None:
    with with_a_pipe_for_stderr(tmp_path) as (process, port):
        greet(port, ENOUGH)
        assert process.stderr is not None
        text = b""
        while b"were dropped" not in text:
            text += os.read(process.stderr.fileno(), 65536)
        process.send_signal(signal.SIGTERM)
        while more := os.read(process.stderr.fileno(), 65536):
            text += more
        assert process.wait(timeout=20) == 0
    lines = lines_of(text.decode())
    requests = [line for line in lines if line["event"] == "request"]
    told = [int(line["event"].split()[0]) for line in lines if "dropped" in line["event"]]
    assert 0 < sum(told) == ENOUGH - len(requests)
    assert lines[-1]["event"] == "stopped"

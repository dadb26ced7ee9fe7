"""The metrics of the real process, as Prometheus would ask for them."""

import json
import socket
import threading
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.administration import Administration
from tests.process.test_admin import Sleeper
from tests.service import running, wait_for


def numbers(admin: Administration) -> dict[str, float]:
    """The value of each sample without labels, and the sum of those with."""
    answer = admin.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_a_scrape_counts_what_the_public_port_answered(tmp_path: Path) -> None:
    with running(tmp_path, "--admin-socket=admin.sock") as service:
        admin = Administration(tmp_path / "admin.sock")
        for _ in range(10):
            service.get("/api/v1/lisas/nobody")
        # An answer is there before it is counted, and the scrape is made by another thread.
        wait_for(lambda: numbers(admin).get("springfield_http_requests_total") == 10)
        wait_for(lambda: numbers(admin)["springfield_requests_in_flight"] == 0)
        found = numbers(admin)
        assert found["springfield_http_requests_total"] == 10
        assert found["springfield_http_request_duration_seconds_count"] == 10
        assert found["process_open_fds"] > 0
        wait_for(lambda: numbers(admin)["springfield_event_loop_lag_seconds_count"] > 0)
        with service.streaming("/api/v1/flanders"):
            assert numbers(admin)["springfield_connections"] == 1
        wait_for(lambda: numbers(admin)["springfield_connections"] == 0)


def test_a_blocked_loop_is_told_while_it_is_blocked(tmp_path: Path) -> None:
    (tmp_path / "wake").touch()
    service = Sleeper(tmp_path, "--admin-socket=admin.sock")
    admin = Administration(tmp_path / "admin.sock")
    greeting = threading.Thread(target=service.get, args=("/api/v1/flanders",))
    greeting.start()
    try:
        wait_for(lambda: numbers(admin)["springfield_event_loop_blocked_total"] == 1)
        assert numbers(admin)["springfield_event_loop_age_seconds"] > 0.25
        wait_for(lambda: "the event loop is blocked" in service.errors())
    finally:
        (tmp_path / "wake").write_text("now")
        greeting.join()
    wait_for(lambda: "the event loop turns again" in service.errors())
    assert service.stop() == 0
    told = "the event loop is blocked"
    (blocked,) = [json.loads(line) for line in service.errors().splitlines() if told in line]
    assert "time.sleep(0.01)" in blocked["stack"] or "in get" in blocked["stack"]


REFUSED = {
    b"nonsense\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 200-maybe\r\n\r\n": 417,
    b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n": 414,
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 101 + b"\r\n": 431,
    b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n": 501,
    b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n": 505,
}


def test_what_the_engine_itself_refuses_is_counted_and_logged_under_its_problems_trace_id(
    tmp_path: Path,
) -> None:
    told = {}
    with running(tmp_path, "--admin-socket=admin.sock") as service:
        with socket.create_connection(("127.0.0.1", service.port)):
            pass  # who says nothing has asked for nothing
        for request, status in REFUSED.items():
            head, _, body = said(service.port, request).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status)
            told[json.loads(body)["trace_id"]] = (status, len(body))
        text = Administration(tmp_path / "admin.sock").get("/metrics").body.decode()
    (requests,) = [
        family
        for family in text_string_to_metric_families(text)
        if family.name == "springfield_http_requests"
    ]
    counted = [s for s in requests.samples if s.name == "springfield_http_requests_total"]
    assert {s.labels["route"] for s in counted} == {"(refused)"}
    assert sorted((int(s.labels["status"]), s.value) for s in counted) == sorted(
        (status, 1) for status in REFUSED.values()
    )
    lines = [json.loads(line) for line in service.errors().splitlines()]
    logged = {line["trace_id"]: line for line in lines if line["event"] == "request"}
    assert {key: (line["status"], line["bytes"]) for key, line in logged.items()} == told
    reasons = [line for line in lines if line["event"].startswith("refused a request of 127.0.0.1")]
    assert [line["trace_id"] for line in reasons] == list(told)


def said(port: int, request: bytes) -> bytes:
    """Return all that is said to a request, until the connection's end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))

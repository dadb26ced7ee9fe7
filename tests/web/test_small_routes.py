"""Flanders, maggie, the healthcheck, the pages of problems, and what is no route."""

import contextlib
import http.client
import json
import socket
import time

import pytest

from tests.service import ServiceProcess, running
from tests.web.upstream import OPEN_METEO, TALK, FakeUpstream


def test_flanders_greets(service: ServiceProcess) -> None:
    answer = service.get("/api/v1/flanders")
    assert (answer.status, answer.body) == (200, b"Hi-dilly-ho, neighborino!")


@pytest.mark.parametrize("document", [OPEN_METEO, TALK], ids=["open-meteo", "talk"])
def test_maggie_understands_both_upstreams(
    service: ServiceProcess, upstream: FakeUpstream, document: object
) -> None:
    upstream.answers(document)
    answer = service.get("/api/v1/maggie")
    assert (answer.status, answer.body) == (200, b"Currently 52 degrees and Cloudy in Austin, TX")


@pytest.mark.parametrize(
    "answered",
    [
        (500, b"{}"),
        (404, b""),
        (200, b""),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b"[1]"),
        (200, b'{"current": null}'),
        (200, b'{"current": {"temperature_2m": NaN, "weather_code": 3}}'),
        (200, b'{"current": {"temperature_2m": 5, "weather_code": 1234}}'),
        (200, b'{"query": {"results": {"channel": {"item": {"condition": {"temp": "x"}}}}}}'),
        (200, b'{"current": {"temperature_2m": true, "weather_code": 3}}'),
        (200, b'{"current": {"temperature_2m": 5, "weather_code": true}}'),
        (200, json.dumps(TALK).replace('"52"', "true").encode()),
        (200, json.dumps(TALK).replace("Cloudy", "\\ud800").encode()),
        (200, json.dumps(TALK).replace("Cloudy", "a\\r\\nb").encode()),
        (200, b" " * 300_000 + json.dumps(OPEN_METEO).encode()),
    ],
)
def test_an_upstream_that_fails_or_answers_nonsense_is_502(
    service: ServiceProcess, upstream: FakeUpstream, answered: tuple[int, bytes]
) -> None:
    upstream.answer = answered
    answer = service.get("/api/v1/maggie")
    assert (answer.status, answer.problem["code"]) == (502, "upstream-failed")


@pytest.mark.parametrize("client", ["simple", "curl"])
def test_an_upstream_that_is_too_slow_is_504_and_one_that_is_gone_502(
    tmp_path_factory: pytest.TempPathFactory, client: str
) -> None:
    with FakeUpstream() as upstream:
        flags = (
            f"--weather-uri={upstream.uri}",
            "--weather-timeout=0.3",
            "--weather-lifetime=0",
            "--weather-stale=0",
            f"--weather-client={client}",
        )
        with running(tmp_path_factory.mktemp("slow"), *flags) as service:
            upstream.answers(TALK)
            assert service.get("/api/v1/maggie").status == 200
            upstream.answer = None
            answer = service.get("/api/v1/maggie")
            assert (answer.status, answer.problem["code"]) == (504, "upstream-too-slow")
            upstream.__exit__(None, None, None)
            answer = service.get("/api/v1/maggie")
            assert (answer.status, answer.problem["code"]) == (502, "upstream-failed")


def test_healthcheck_answers_ok_or_every_component(service: ServiceProcess) -> None:
    answer = service.get("/api/v1/healthcheck")
    assert (answer.status, answer.body) == (200, b"OK")
    report = json.loads(service.get("/api/v1/healthcheck", Accept="application/json").body)
    assert report["status"] == "ok"
    assert [each["name"] for each in report["components"]] == ["homers", "lisas", "marges", "bart"]
    assert all(
        each["status"] == "ok" and each["milliseconds"] >= 0 for each in report["components"]
    )


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v1",
        "/api/v1/ned",
        "/api/v1/flanders/",
        "/api/v1/bart/x",
        "/problems/doh",
        "/../etc/passwd",
        "//api/v1/flanders",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_what_is_no_route_is_404(service: ServiceProcess, path: str, method: str) -> None:
    answer = service.request(method, path, b"x" if method == "POST" else None)
    if path == "/problems/doh" and method != "GET":
        assert answer.status in {204, 405}
    else:
        assert (answer.status, answer.problem["code"]) == (404, "no-such-route")


def test_the_type_of_a_problem_leads_to_a_page(service: ServiceProcess) -> None:
    problem = service.get("/api/v1/lisas/nobody").problem
    page = service.get(problem["type"])
    assert page.status == 200
    assert problem["code"].encode() in page.body


def test_a_problem_bears_the_trace_id_of_the_request(service: ServiceProcess) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = service.get("/nowhere", Traceparent=f"00-{trace}-b7ad6b7169203331-01")
    assert answer.problem["trace_id"] == trace
    ids = {service.get("/nowhere", Traceparent="junk").problem["trace_id"] for _ in range(3)}
    assert len(ids) == 3


def test_a_store_that_never_answers_does_not_hang_the_healthcheck(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        flags = (f"--marges-url={url}", "--health-timeout=0.3")
        with running(tmp_path_factory.mktemp("silent"), *flags) as service:
            started = time.monotonic()
            answer = service.get("/api/v1/healthcheck")
            assert time.monotonic() - started < 1.5
            assert answer.status == 503
            assert answer.problem["failed"] == ["marges"]
            assert "Redis" in answer.problem["detail"]
            assert "SQLite" not in answer.problem["detail"]
            report = json.loads(service.get("/api/v1/healthcheck", Accept="application/json").body)
            assert [each["status"] for each in report["components"]] == ["ok", "ok", "failed", "ok"]
            assert service.post("/api/v1/lisas/x", b"sax").status == 204
            slow = service.post("/api/v1/marges/x", b"x")
            assert (slow.status, slow.problem["code"]) in {
                (504, "not-done"),
                (504, "outcome-unknown"),
            }


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/api/v1/flanders", "/api/v1/bart", "/api/v1/lisas/x"])
def test_a_large_body_where_none_belongs_is_413(
    service: ServiceProcess, path: str, method: str
) -> None:
    answer = service.request(method, path, b"x" * 70_000)
    assert answer.problem["code"] in {"too-large", "method-not-allowed"}
    chunked = service.request(method, path, iter([b"x" * 70_000]))
    assert chunked.problem["code"] in {"too-large", "method-not-allowed"}
    assert service.request(method, path, b"small").status in {200, 204, 404, 405}


@pytest.mark.parametrize("path", ["/api/v1/marges/%", "/api/v1/marges/%zz", "/api/v1/marges/a%4"])
def test_a_broken_percent_escape_is_400(service: ServiceProcess, path: str) -> None:
    assert service.get(path).problem["code"] == "bad-request"


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/flanders", "/api/v1/lisas/%FF"])
def test_a_refused_request_with_a_large_body_still_gets_its_answer(
    service: ServiceProcess, path: str
) -> None:
    for _ in range(5):
        answer = service.post(path, b"x" * 1_000_000)
        assert answer.status in {400, 404, 405}
        assert answer.problem["status"] == answer.status


def test_the_server_as_a_whole_has_options(service: ServiceProcess) -> None:
    answer = service.request("OPTIONS", "*")
    assert answer.status == 204
    assert answer.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


@pytest.mark.parametrize("method", ["SEARCH", "GET", "PATCH", "OPTIONS"])
def test_nothing_is_found_at_an_unknown_path_whatever_the_method(
    service: ServiceProcess, method: str
) -> None:
    answer = service.request(method, "/nowhere")
    assert answer.status == 404
    assert answer.problem["code"] == "no-such-route"
    assert "allow" not in answer.headers


def test_a_refusal_does_not_end_the_connection(service: ServiceProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    with contextlib.closing(connection):
        connection.connect()
        sock = connection.sock
        for method, path, body, status in [
            ("GET", "/nowhere", None, 404),
            ("TRACE", "/nowhere", None, 404),
            ("POST", "/nowhere", b"{}", 404),
            ("DELETE", "/api/v1/flanders", None, 405),
            ("PROPFIND", "/api/v1/flanders", None, 405),
            ("PUT", "/api/v1/flanders", b"x", 405),
            ("GET", "/api/v1/homers/%zz", None, 400),
            ("PUT", "/api/v1/lisas/x?ttl=0", b"x", 400),
            ("PUT", "/api/v1/lisas/x", b"x" * 2_000_000, 413),
            ("PUT", "/api/v1/lisas/x", iter([b"x" * 2_000_000]), 413),
            ("GET", "/api/v1/flanders", None, 200),
        ]:
            connection.request(method, path, body, encode_chunked=True)
            answer = connection.getresponse()
            answer.read()
            assert (answer.status, connection.sock) == (status, sock), (method, path)


def test_what_follows_an_answer_that_closes_is_not_done(service: ServiceProcess) -> None:
    service.post("/api/v1/lisas/victim", b"alive")
    with socket.create_connection(("127.0.0.1", service.port)) as sock:
        sock.settimeout(10)
        sock.sendall(
            b"PUT /api/v1/lisas/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/xml\r\n"
            b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            b"abcDELETE /api/v1/lisas/victim HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        received = b""
        while more := sock.recv(65536):
            received += more
    assert received.startswith(b"HTTP/1.1 415 ")
    assert b"\r\nConnection: close\r\n" in received
    assert received.count(b"HTTP/1.1 ") == 1
    assert service.get("/api/v1/lisas/victim").status == 200

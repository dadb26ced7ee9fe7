"""Traces of the real process, to a collector; and that without them they cost nothing."""

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.observability.collector import FakeCollector
from tests.service import ServiceProcess, clean_environment, running, springfield
from tests.web.upstream import FakeUpstream

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RESPONSE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]")


@pytest.mark.parametrize("flag", ["--tracing=off", "--tracing=on"])
@pytest.mark.parametrize("engine", ["httptools", "tornado"])
def test_an_answer_names_its_trace_where_there_is_one(
    tmp_path: Path, engine: str, flag: str
) -> None:
    with FakeCollector() as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
        with running(tmp_path, f"--engine={engine}", flag, **environment) as service:
            for method, path in (
                ("GET", "/api/v1/flanders"),
                ("HEAD", "/api/v1/flanders"),
                ("OPTIONS", "/api/v1/bart"),
                ("GET", "/api/v1/lisas/nobody"),
                ("DELETE", "/api/v1/flanders"),
                ("GET", "/nowhere"),
                ("GET", "/api/v1/lisas"),
            ):
                answer = service.request(
                    method, path, Traceparent=f"00-{TRACE}-{PARENT}-01", Tracestate="vendor=1"
                )
                told = RESPONSE.fullmatch(answer.headers["traceresponse"])
                assert told is not None
                assert told[1] == TRACE
                assert told[2] != PARENT
                if answer.status >= 400:
                    assert answer.problem["trace_id"] == TRACE
            answers = [service.get("/api/v1/flanders").headers for _ in range(3)]
            ids = {answer.get("traceresponse") for answer in answers}
            assert ids == {None} if flag == "--tracing=off" else len(ids) == 3


def test_a_refusal_of_the_engine_names_a_trace_too(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(b"GET / HTTP/3.0\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
        told = re.search(r"Traceresponse: 00-([0-9a-f]{32})-[0-9a-f]{16}-00\r\n", answer)
        assert told is not None
        assert f'"trace_id": "{told[1]}"' in answer


def test_spans_of_the_last_requests_reach_the_collector_before_the_process_ends(
    tmp_path: Path,
) -> None:
    with FakeCollector() as collector, FakeUpstream() as upstream:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_SERVICE_NAME": "shelbyville",
            "WEATHER_URI": upstream.uri,
        }
        with running(tmp_path, "--tracing", **environment) as service:
            given = {"Traceparent": f"00-{TRACE}-{PARENT}-01", "Tracestate": "vendor=1"}
            maggie = service.get("/api/v1/maggie", **given)
            upstream.answer = (500, b"")
            missing = service.get("/api/v1/homers/nobody")
        (asked,) = collector.named("GET /api/v1/maggie")
        (call,) = collector.named("GET weather")
        (lost,) = collector.named("GET /api/v1/homers/{name}")
        assert (asked.trace_id, asked.parent_id, asked.state) == (TRACE, PARENT, "vendor=1")
        assert maggie.headers["traceresponse"] == f"00-{TRACE}-{asked.span_id}-01"
        assert (call.trace_id, call.parent_id) == (TRACE, asked.span_id)
        assert upstream.headers[0]["traceparent"] == f"00-{TRACE}-{call.span_id}-01"
        assert upstream.headers[0]["tracestate"] == "vendor=1"
        assert asked.start <= call.start <= call.end <= asked.end
        assert lost.trace_id == missing.problem["trace_id"]
        assert lost.attributes["http.response.status_code"] == 404
        assert {span.resource["service.name"] for span in collector.spans} == {"shelbyville"}


def test_a_failing_upstream_is_an_error_in_both_spans(tmp_path: Path) -> None:
    with FakeCollector() as collector, FakeUpstream() as upstream:
        upstream.answer = (500, b"")
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "WEATHER_URI": upstream.uri,
        }
        with running(tmp_path, "--tracing", **environment) as service:
            assert service.get("/api/v1/maggie").status == 502
        assert {span.name: span.status for span in collector.spans} == {
            "GET /api/v1/maggie": 2,
            "GET weather": 2,
        }
        kinds = {span.attributes["error.type"] for span in collector.spans}
        assert kinds == {"springfield.errors.UpstreamFailed"}


def test_a_dead_collector_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    with FakeCollector() as collector:
        collector.is_dead = True
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
        service = ServiceProcess(tmp_path, "--tracing", **environment)
        assert service.get("/api/v1/flanders").status == 200
        started = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - started < 8
        assert "could not be exported" in service.errors()


LOADED = """
import asyncio, sys
from springfield.assembly import assemble
from springfield.configuration import load_settings
from springfield.observability.telemetry import observing

async def main():
    settings = load_settings({"tracing": sys.argv[1]}, None).settings
    with observing(1.0, 1.0) as telemetry:
        await show(assemble(settings, telemetry))

async def show(assembled):
    async with assembled as service:
        loaded = [name for name in sys.modules if name.startswith("opentelemetry.exporter")]
        print(bool(loaded), "springfield.observability.traces" in sys.modules, service.sampler)

asyncio.run(main())
"""


def test_without_tracing_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    def loaded(tracing: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-c", LOADED, tracing],
            cwd=tmp_path,
            env=clean_environment({}),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return ended.stdout

    (tmp_path / "springfield-data").mkdir()
    assert loaded("off") == "False False None\n"
    assert loaded("on").startswith("True True <bound method")


def test_tracing_without_the_extra_is_a_mistake_at_start(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "opentelemetry"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text('raise ImportError("it is not here")')
    path = f"{missing.parent}:{clean_environment({}).get('PYTHONPATH', '')}"
    ended = springfield("settings", "--tracing", directory=tmp_path, PYTHONPATH=path)
    assert ended.returncode == 2
    assert "pip install 'springfield[otel]'" in ended.stderr
    assert springfield("settings", directory=tmp_path, PYTHONPATH=path).returncode == 0


@pytest.mark.parametrize("endpoint", ["not a url", "localhost:4318", "http://", "http://a:99999"])
def test_an_endpoint_that_is_no_url_is_a_mistake_at_start(tmp_path: Path, endpoint: str) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    ended = springfield("serve", "--tracing", directory=tmp_path, **environment)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "the endpoint in OTEL_EXPORTER_OTLP_ENDPOINT is no URL; write one like" in ended.stderr
    assert springfield("settings", directory=tmp_path, **environment).returncode == 0

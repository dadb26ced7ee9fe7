"""Maggie on the real process: one call for all, a lifetime, old answers while the upstream is down."""

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.service import Answer, ServiceProcess, running
from tests.web.upstream import OPEN_METEO, TALK, FakeUpstream

SENTENCE = b"Currently 52 degrees and Cloudy in Austin, TX"
WARMER = {"current": {**OPEN_METEO["current"], "temperature_2m": 71}}  # type: ignore[dict-item]


async def seen(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it is true in another process
            await asyncio.sleep(0.01)


async def ask(port: int, readers: list[asyncio.StreamReader]) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/v1/maggie HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    readers.append(reader)
    try:
        return await reader.read()
    finally:
        writer.close()


def until(service: ServiceProcess, wanted: Callable[[Answer], bool]) -> Answer:
    """Ask for the weather until it is as wanted."""
    deadline = time.monotonic() + 20
    for _ in itertools.count():
        answer = service.get("/api/v1/maggie")
        if wanted(answer) or time.monotonic() > deadline:
            return answer
        time.sleep(0.05)
    raise AssertionError


@pytest.mark.parametrize("engine", ["httptools", "tornado"])
def test_a_thousand_simultaneous_cold_requests_make_one_upstream_call(
    tmp_path: Path, engine: str
) -> None:
    with FakeUpstream() as upstream:
        upstream.gate.clear()
        with running(tmp_path, f"--engine={engine}", f"--weather-uri={upstream.uri}") as service:

            async def crowd() -> list[bytes]:
                connected: list[asyncio.StreamReader] = []
                asking = [asyncio.create_task(ask(service.port, connected)) for _ in range(1000)]
                await seen(lambda: len(connected) == 1000)
                await asyncio.to_thread(service.get, "/api/v1/flanders")
                upstream.gate.set()
                return await asyncio.gather(*asking)

            answers = asyncio.run(crowd())
            assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
            assert all(answer.endswith(SENTENCE) for answer in answers)
        assert len(upstream.requests) == 1


def test_the_weather_is_served_from_the_cache_with_its_age(tmp_path: Path) -> None:
    with FakeUpstream() as upstream, running(tmp_path, WEATHER_URI=upstream.uri) as service:
        first = service.get("/api/v1/maggie")
        assert first.headers["cache-status"] == "springfield; fwd=miss"
        assert "age" not in first.headers
        upstream.answers(WARMER)
        second = until(service, lambda answer: answer.headers["age"] != "0")
        assert second.body == first.body == SENTENCE
        assert int(second.headers["age"]) >= 1
        assert second.headers["cache-status"].startswith("springfield; hit; ttl=5")
        assert second.headers["cache-control"] == "no-cache"
        head = service.request("HEAD", "/api/v1/maggie")
        assert (head.status, head.body) == (200, b"")
        assert {"age", "cache-status"} <= set(head.headers)
        assert len(upstream.requests) == 1


def test_the_weather_is_asked_for_anew_after_its_lifetime(tmp_path: Path) -> None:
    flags = ("--weather-lifetime=0.2",)
    with FakeUpstream() as upstream, running(tmp_path, *flags, WEATHER_URI=upstream.uri) as service:
        assert service.get("/api/v1/maggie").body == SENTENCE
        upstream.answers(WARMER)
        answer = until(service, lambda answer: b"71" in answer.body)
        assert answer.headers["cache-status"] == "springfield; fwd=stale"


def test_the_last_good_answer_outlives_a_failing_upstream_until_its_limit_and_recovers(
    tmp_path: Path,
) -> None:
    flags = ("--weather-lifetime=0.5", "--weather-stale=3", "--weather-timeout=0.3")
    with FakeUpstream() as upstream, running(tmp_path, *flags, WEATHER_URI=upstream.uri) as service:
        service.get("/api/v1/maggie")
        upstream.answer = (503, b"")
        stale = until(service, lambda answer: "stale-if-error" in answer.headers["cache-status"])
        assert (stale.status, stale.body) == (200, SENTENCE)
        assert stale.headers["age"] in {"0", "1"}
        assert stale.headers["cache-status"] == "springfield; hit; ttl=-1; detail=stale-if-error"
        upstream.answer = None  # it accepts and says nothing
        gone = until(service, lambda answer: answer.status != 200)
        assert (gone.status, gone.problem["code"]) == (504, "upstream-too-slow")
        assert "age" not in gone.headers
        assert "cache-status" not in gone.headers
        upstream.answer = (500, b"")
        failed = until(service, lambda answer: answer.status == 502)
        assert failed.problem["code"] == "upstream-failed"
        upstream.answers(TALK)
        assert until(service, lambda answer: answer.status == 200).body == SENTENCE
        assert "an old answer is served" in service.errors()


def test_while_the_upstream_is_down_it_is_asked_once_a_second_at_most(tmp_path: Path) -> None:
    with FakeUpstream() as upstream, running(tmp_path, WEATHER_URI=upstream.uri) as service:
        upstream.answer = (500, b"")
        started = time.monotonic()
        for _ in range(100):
            assert service.get("/api/v1/maggie").status == 502
        assert len(upstream.requests) <= 1 + (time.monotonic() - started)


def test_a_first_client_that_goes_away_disturbs_nobody(tmp_path: Path) -> None:
    with FakeUpstream() as upstream, running(tmp_path, WEATHER_URI=upstream.uri) as service:
        upstream.gate.clear()

        async def leave_and_stay() -> bytes:
            gone: list[asyncio.StreamReader] = []
            first = asyncio.create_task(ask(service.port, gone))
            await seen(lambda: bool(upstream.requests))
            second = asyncio.create_task(ask(service.port, gone))
            first.cancel()
            await seen(lambda: '"status": 499' in service.errors())
            upstream.gate.set()
            return await second

        assert asyncio.run(leave_and_stay()).endswith(SENTENCE)
        assert len(upstream.requests) == 1


def test_the_upstream_is_told_the_trace_of_the_request(tmp_path: Path) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with FakeUpstream() as upstream, running(tmp_path, WEATHER_URI=upstream.uri) as service:
        given = f"00-{trace}-{parent}-01"
        service.get("/api/v1/maggie", Traceparent=given, Tracestate="vendor=a1, other@x=b")
        told = upstream.headers[0]["traceparent"].split("-")
        assert (told[0], told[1], told[3]) == ("00", trace, "01")
        assert told[2] != parent
        assert upstream.headers[0]["tracestate"] == "vendor=a1,other@x=b"


def test_a_client_cannot_make_the_call_for_all_too_large_by_its_tracestate(tmp_path: Path) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    long = [f"l{number}={'x' * 240}" for number in range(16)]
    short = [f"s{number}={'y' * 100}" for number in range(16)]
    with FakeUpstream() as upstream, running(tmp_path, WEATHER_URI=upstream.uri) as service:
        state = ",".join(long + short)
        assert service.get("/api/v1/maggie", Traceparent=parent, Tracestate=state).status == 200
        told = upstream.headers[0]["tracestate"]
    assert told == ",".join(short[:4])

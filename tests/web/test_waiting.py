"""Waiting for a change over HTTP."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.service import Answer, ServiceProcess, running


def waiting(
    pool: ThreadPoolExecutor, service: ServiceProcess, path: str, seconds: int
) -> "Future[Answer]":
    tag = service.get(path).headers["etag"]
    future = pool.submit(service.get, path, If_None_Match=tag, Prefer=f"wait={seconds}")
    with pytest.raises(TimeoutError):
        future.result(timeout=0.3)
    return future


def test_a_change_in_the_same_process_is_told_at_once(service: ServiceProcess) -> None:
    path = "/api/v1/lisas/watched"
    service.post(path, b"old")
    with ThreadPoolExecutor() as pool:
        future = waiting(pool, service, path, 30)
        started = time.monotonic()
        service.post(path, b"new")
        answer = future.result(timeout=5)
        assert time.monotonic() - started < 0.9  # before the next tick
        assert (answer.status, answer.body) == (200, b"new")
        assert answer.headers["preference-applied"] == "wait=30"
        assert answer.headers["etag"] == service.get(path).headers["etag"]
        future = waiting(pool, service, path, 30)
        service.request("DELETE", path)
        assert future.result(timeout=5).status == 404


def test_a_change_by_another_process_is_seen_at_the_next_tick(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("two")
    flags = ("--wait-tick=0.2",)
    with running(directory, *flags) as one, running(directory, *flags) as other:
        one.post("/api/v1/homers/watched", b"1")
        with ThreadPoolExecutor() as pool:
            future = waiting(pool, one, "/api/v1/homers/watched", 30)
            other.post("/api/v1/homers/watched", b"2")
            assert future.result(timeout=5).body == b"2"


def test_when_the_time_is_up_the_answer_is_304(service: ServiceProcess) -> None:
    path = "/api/v1/lisas/still"
    tag = service.post(path, b"same").headers["etag"]
    started = time.monotonic()
    asked = int(time.time())
    answer = service.get(path, If_None_Match=tag, Prefer="respond-async, wait=2")
    assert answer.status == 304
    assert answer.headers["etag"] == tag
    assert answer.headers["preference-applied"] == "wait=2"
    assert parsedate_to_datetime(answer.headers["date"]).timestamp() > asked  # it is the answer's
    assert 1.8 < time.monotonic() - started < 5


def test_who_has_not_the_current_item_does_not_wait(service: ServiceProcess) -> None:
    path = "/api/v1/lisas/current"
    tag = service.post(path, b"same").headers["etag"]
    started = time.monotonic()
    assert service.get(path, If_None_Match='"other"', Prefer="wait=20").status == 200
    assert service.get(path, Prefer="wait=20").status == 200
    assert service.get("/api/v1/lisas/absent", If_None_Match=tag, Prefer="wait=20").status == 404
    head = service.request("HEAD", path, None, If_None_Match=tag, Prefer="wait=20")
    assert head.status == 304
    assert time.monotonic() - started < 10


def test_a_stop_releases_those_who_wait(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path)
    service.post("/api/v1/lisas/watched", b"x")
    with ThreadPoolExecutor() as pool:
        futures = [waiting(pool, service, "/api/v1/lisas/watched", 60) for _ in range(3)]
        started = time.monotonic()
        assert service.stop() == 0
        assert {future.result(timeout=5).status for future in futures} == {304}
        assert time.monotonic() - started < 5
    assert threading.active_count() >= 1

"""Waiting for a change over HTTP."""

import asyncio
import threading
import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, cast

import pytest
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from springfield import resources
from springfield.health import Health
from springfield.model import Item, Kind, Name
from springfield.observability.events import Events
from springfield.stores.coalesced import Coalesced
from springfield.stores.store import Adapter
from springfield.web.routes import Service, make_app
from springfield.web.safety import Safety
from springfield.web.traffic import Traffic
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


@pytest.mark.parametrize(
    ("deadline", "applied"), [("0.4", None), ("1.5", "wait=1"), ("30", "wait=2")]
)
def test_a_wait_ends_by_the_deadline_and_the_answer_says_how_long_it_was(
    service: ServiceProcess, deadline: str, applied: str | None
) -> None:
    path = "/api/v1/lisas/deadline"
    tag = service.post(path, b"same").headers["etag"]
    headers = {"If_None_Match": tag, "X_Request_Timeout": deadline, "Prefer": "wait=2"}
    left = []
    for _ in range(3):
        started = time.monotonic()
        answer = service.get(path, **headers)
        left.append(float(deadline) - (time.monotonic() - started))
        assert answer.status == 304
        assert answer.headers.get("preference-applied") == applied
        if left[-1] > 0:
            break
    assert max(left) > 0  # once, at least, if the machine is busy with other things


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


class Gated:
    """A store whose reads are answered when the gate is opened, with what there was when they began."""

    verbatim = True

    def __init__(self) -> None:
        self.item = Item(b"old")
        self.begun, self.gate = asyncio.Event(), asyncio.Event()

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item]:
        found = dict.fromkeys(names, self.item)
        self.begun.set()
        await self.gate.wait()
        return found

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, str]:
        (self.item,) = items.values()
        return {name: item.entity_tag for name, item in items.items()}


async def test_a_change_while_the_item_is_read_for_who_is_to_wait_is_told_at_once() -> None:
    store, an_hour = Gated(), 3600.0
    old = store.item.entity_tag
    items = resources.Collection(
        "lisas", Kind.TEXT, Coalesced(cast("Adapter", store), "lisas"), 100, an_hour
    )
    service = Service(
        collections=[items],
        singles=[],
        object_collections=[],
        weather=cast("Any", None),
        weather_place="Springfield",
        health=Health([], 1),
        safety=Safety(loopback_only=True, read_only=False),
        traffic=Traffic(),
        events=Events(),
        wait_limit=60,
    )
    server = HTTPServer(make_app(service))
    listener, port = bind_unused_port()
    server.add_socket(listener)
    client = AsyncHTTPClient(force_instance=True)
    try:
        path = f"http://127.0.0.1:{port}/api/v1/lisas/n"
        headers = {"If-None-Match": f'"{old}"', "Prefer": "wait=30"}
        asked = asyncio.ensure_future(client.fetch(path, headers=headers, request_timeout=30))
        await store.begun.wait()
        assert (await client.fetch(path, method="PUT", body=b"new")).code == 204
        store.gate.set()
        async with asyncio.timeout(15):
            answer = await asked
        assert (answer.code, answer.body) == (200, b"new")
    finally:
        client.close()
        server.stop()
        await server.close_all_connections()

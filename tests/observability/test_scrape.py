"""The metrics of the real application: traffic is seen, and no request can add series."""

import asyncio
import random
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from springfield.observability.telemetry import Telemetry
from springfield.server.engines import EngineName
from tests.observability.scraping import ask, served
from tests.stores.eventually import eventually

MANY = 10_000


def series(telemetry: Telemetry) -> set[str]:
    families = text_string_to_metric_families(telemetry.metrics.render().decode())
    return {f"{each.name} {sorted(each.labels.items())}" for f in families for each in f.samples}


def words(chance: random.Random) -> list[str]:
    return [quote("".join(chance.choices("abc/é ?#%{}", k=12)), safe="/") for _ in range(MANY)]


async def test_no_name_and_no_path_adds_a_series(tmp_path: Path) -> None:
    chance = random.Random(4)
    names = [f"GET /api/v1/lisas/{word}" for word in words(chance)]
    paths = [f"GET /{word}" for word in words(chance)]
    async with served(tmp_path, "httptools") as (telemetry, port):
        assert await ask(port, ["GET /api/v1/lisas/nobody", "GET /nowhere"]) == [404, 404]
        before = series(telemetry)
        stop = threading.Event()
        scraping = threading.Thread(target=scrape, args=(telemetry, stop))
        scraping.start()
        try:
            assert set(await ask(port, names + paths)) == {404}
        finally:
            stop.set()
            scraping.join()
        assert series(telemetry) == before
        text = telemetry.metrics.render().decode()
    requests = 'springfield_http_requests_total{method="GET",route="%s",status="404"} %.1f'
    assert requests % ("/api/v1/lisas/{name}", MANY + 1) in text
    assert requests % ("(none)", MANY + 1) in text


def scrape(telemetry: Telemetry, stop: threading.Event) -> None:
    """Ask again and again from another thread; an exception fails the test."""
    while not stop.wait(0.01):
        telemetry.metrics.render()


@pytest.mark.parametrize("engine", ["httptools", "tornado"])
async def test_what_is_in_flight_is_seen(tmp_path: Path, engine: EngineName) -> None:
    async with served(tmp_path, engine) as (telemetry, port):
        await ask(port, ["GET /api/v1/bart"])
        text = telemetry.metrics.render().decode()
        for line in (
            "springfield_requests_in_flight 0.0",
            "springfield_waiters 0.0",
            "springfield_draining 0.0",
            'springfield_pool_in_use{product="filesystem",resource="bart"} 0.0',
            'springfield_pool_open{product="filesystem",resource="bart"} 1.0',
        ):
            assert line in text.splitlines()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"PUT /api/v1/lisas/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"
        )
        await eventually(lambda: b"requests_in_flight 1.0" in telemetry.metrics.render())
        writer.write(b"doh")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        await eventually(lambda: b"requests_in_flight 0.0" in telemetry.metrics.render())
        writer.close()
        await writer.wait_closed()

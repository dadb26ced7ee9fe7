"""Ten thousand clients that wait for a change, each on a connection of its own."""

import asyncio
import contextlib
import resource
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.process.test_memory import MEBIBYTE, resident
from tests.service import ServiceProcess, running

WAITERS = 10_000
NAMES = 100
FLAGS = ("--log-level=info", "--wait-limit=300")

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(autouse=True)
def usual_descriptors() -> Iterator[None]:
    """Start the service with the limit that most systems give: it must raise it by itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def waiting(service: ServiceProcess) -> Iterator[list[Connection]]:
    """Make room for many connections; those that are put in the list are closed at the end."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > WAITERS + 1000, "raise the hard limit of open files for this test"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number in range(NAMES):
        service.post(f"/api/v1/lisas/n{number}", b"old")
    connections: list[Connection] = []
    try:
        yield connections
    finally:
        for _, writer in connections:
            writer.close()


async def crowd(service: ServiceProcess, connections: list[Connection]) -> None:
    """Have WAITERS wait for NAMES items, all of which hold the same."""
    tag = service.get("/api/v1/lisas/n0").headers["etag"]
    for _ in range(WAITERS // NAMES):
        connections += [
            await wait_for(service, f"/api/v1/lisas/n{number}", tag) for number in range(NAMES)
        ]
        # An ordinary answer, which stands behind the reads of those who wait now: they came in at
        # the pace of the service.
        answer = await asyncio.to_thread(service.get, f"/api/v1/lisas/n{NAMES - 1}")
        assert (answer.status, answer.body) == (200, b"old")
    assert service.open_descriptors() > WAITERS


async def wait_for(service: ServiceProcess, path: str, tag: str) -> Connection:
    return await begin(
        service,
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
        f"If-None-Match: {tag}\r\nPrefer: wait=300\r\n\r\n",
    )


async def begin(service: ServiceProcess, request: str) -> Connection:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(request.encode())
    return reader, writer


async def heads(connections: Sequence[Connection]) -> list[bytes]:
    async with asyncio.timeout(60):
        return await asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader, _ in connections))


async def test_ten_thousand_wait_in_bounded_memory_while_others_are_answered(
    tmp_path: Path,
) -> None:
    with running(tmp_path, *FLAGS) as service, waiting(service) as connections:
        await crowd(service, connections)
        assert resident(service) < 150 * MEBIBYTE
        for number in range(NAMES):
            await asyncio.to_thread(service.post, f"/api/v1/lisas/n{number}", b"new")
        answers = await heads(connections)
        assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}


async def test_a_drain_releases_ten_thousand_before_what_else_is_in_flight(tmp_path: Path) -> None:
    with running(tmp_path, *FLAGS) as service, waiting(service) as connections:
        await crowd(service, connections)
        slow = await begin(
            service,
            "POST /api/v1/lisas/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\ns",
        )
        assert (await asyncio.to_thread(service.get, "/api/v1/lisas/n0")).status == 200
        service.process.send_signal(signal.SIGTERM)
        answers = await heads(connections)
        assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 304 Not Modified"}
        assert all(b"\r\nConnection: close\r\n" in answer for answer in answers)
        slow[1].write(b"ax")
        assert (await heads([slow]))[0].startswith(b"HTTP/1.1 204 ")
        slow[1].close()
        await asyncio.to_thread(service.process.wait, 20)
    assert f"draining for 0 s: {WAITERS + 1} requests in flight" in service.errors()
    assert "did not finish" not in service.errors()


async def test_who_waits_holds_no_content(tmp_path: Path) -> None:
    path, content = "/api/v1/lisas/large", b"x" * 256 * 1024
    with running(tmp_path, *FLAGS) as service, waiting(service) as connections:
        tag = service.post(path, content).headers["etag"]
        assert service.get(path).body == content
        before = resident(service)
        connections += [await wait_for(service, path, tag) for _ in range(400)]
        assert (await asyncio.to_thread(service.get, path)).status == 200
        assert resident(service) - before < 32 * MEBIBYTE

"""In charge of the load: many connections, each the next request as soon as it is answered.

A process of its own (``python -m benchmarks.load``, an order as JSON on its standard input), on bytes
and uvloop, so that it costs a small part of what it measures; it says how much. Every answer is
checked: its status, its length and its content.
"""

import asyncio
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop

from benchmarks.usage import family, processor_seconds, resident_bytes
from benchmarks.works import WORKS, Case, Work, body_of, is_right, name_of

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STATUS = slice(9, 12)
_LARGE = 1024 * 1024
"""From this size on an answer is not kept, only counted, and compared at its beginning."""
_BEGINNING = 4
"""Parts of a large answer that are kept."""
_KEPT = 1024
"""Requests below this size are made once; larger ones for 10,000 names would fill the memory."""
_CONNECTING = 64
"""Connections that are opened at the same time."""
_PATIENCE = 4.0
"""Seconds that a load may take longer, so that each connection has been answered twice."""
_DEADLINE = 120.0


class LoadFailed(Exception):
    """The load could not be put on. The text says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the load generator is told."""

    case: Case
    port: int
    pids: tuple[int, ...]
    """The processes that serve; with their descendants."""
    seconds: float
    warm_up: float = 0.2
    webdis: bool = False
    """Whether Redis' commands are in the path."""


@dataclass(slots=True)
class Measured:
    """What one load came to."""

    requests: float
    seconds: float
    server_seconds: float
    """Processor time of the server's processes."""
    client_seconds: float
    """Processor time of the load generator."""
    resident: int
    """Bytes, at the end."""
    p50: float
    """Seconds, as the other percentiles."""
    p99: float
    p999: float
    answered: int = 0
    """Requests from the first to the last, the warm-up included."""
    wrong: dict[str, int] = field(default_factory=dict)
    """What was answered wrongly, and how often."""

    @property
    def cost(self) -> float:
        """Microseconds of the server's processor time a request."""
        return 1e6 * self.server_seconds / self.requests if self.requests else float("inf")

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def measure(order: Order) -> Measured:
    """Put the load on from a process of its own. Raises LoadFailed."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(asdict(order)),
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=_DEADLINE + order.seconds,
        check=False,
    )
    if done.returncode:
        raise LoadFailed(done.stderr.strip().rpartition("\n")[2])
    return Measured(**json.loads(done.stdout))


@dataclass(slots=True)
class _Tally:
    """What all connections count together."""

    requests: int = 0
    received: int = 0
    """Bytes of bodies."""
    keeps_bodies: bool = True
    latencies: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    is_over: bool = False


class _Requests:
    """Gives the next request: a name and the bytes to send."""

    def __init__(self, order: Order) -> None:
        case = order.case
        self._work: Work = WORKS[case.work]
        self._size = case.size
        self._count = case.names
        self._draw = random.random
        self._webdis = order.webdis
        self._ready: dict[int, tuple[str, bytes]] = {}

    def next(self) -> tuple[str, bytes]:
        """Return a name and the request for it; names are drawn uniformly."""
        number = int(self._draw() * self._count)
        made = self._ready.get(number)
        if made is None:
            made = self._make(number)
            if len(made[1]) < _KEPT:
                self._ready[number] = made
        return made

    def _make(self, number: int) -> tuple[str, bytes]:
        name = name_of(self._size, number)
        path = self._work.path if self._work.store == "none" else self._work.path + name
        if self._webdis:
            path = f"/SET/{name}" if self._work.is_write else f"/GET/{name}.txt"
        if not self._work.is_write:
            return name, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        body = body_of(self._work, name, self._size)
        kind = "application/json" if self._work.store == "mongodb" else "application/octet-stream"
        head = (
            f"PUT {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return name, head.encode() + body


class _Connection(asyncio.Protocol):
    """One client on one connection."""

    def __init__(
        self, requests: _Requests, tally: _Tally, judge: Callable[[str, bytes], bool] | None
    ) -> None:
        self._requests = requests
        self._tally = tally
        self._judge = judge
        self._name = ""
        self._head = b""
        self._body: bytes | None = None
        self._parts: list[bytes] = []
        self._missing = 0
        self.is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """Send the next request."""
        self._name, request = self._requests.next()
        self.is_waiting = True
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._body is None:
            head, separator, rest = (self._head + data if self._head else data).partition(
                b"\r\n\r\n"
            )
            if not separator:
                self._head = head
                return
            length = _LENGTH.search(head)
            if length is None and head[_STATUS] != b"204":
                self._refuse("an answer without Content-Length")
                return
            self._missing = int(length[1]) if length else 0
            self._head, data, self._body = head, rest, rest
            self._parts = []
        self._missing -= len(data)
        self._tally.received += len(data)
        if len(self._parts) < _BEGINNING or self._tally.keeps_bodies:
            self._parts.append(data)
        if self._missing <= 0:
            self._answered()

    def _answered(self) -> None:
        tally = self._tally
        tally.latencies.append(time.perf_counter() - self._sent)
        tally.requests += 1
        head, body = self._head, b"".join(self._parts)
        self._head, self._body = b"", None
        status = head[_STATUS]
        if not status.startswith(b"2"):
            tally.wrong[f"status {status.decode('latin-1')}"] += 1
        elif self._missing < 0:
            tally.wrong["a body longer than its Content-Length"] += 1
        elif self._judge is not None and not self._judge(self._name, body):
            tally.wrong["another body"] += 1
        self.is_waiting = False
        if not tally.is_over:
            self.send()

    def _refuse(self, reason: str) -> None:
        self._tally.wrong[reason] += 1
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_waiting = False
        if not self._tally.is_over:
            self._tally.wrong[f"a lost connection ({exc})"] += 1


def _judge(order: Order) -> Callable[[str, bytes], bool] | None:
    case = order.case
    if WORKS[case.work].is_write:
        return None  # the runner reads back what was written
    if case.size < _LARGE:
        return is_right(case)
    return lambda name, body: body.startswith(name.encode())


async def put_on(order: Order) -> Measured:
    """Put the load on and measure its middle."""
    tally = _Tally(keeps_bodies=order.case.size < _LARGE)
    requests, judge = _Requests(order), _judge(order)
    loop = asyncio.get_running_loop()
    opening = asyncio.Semaphore(_CONNECTING)

    async def connect() -> _Connection:
        async with opening:
            _, protocol = await loop.create_connection(
                lambda: _Connection(requests, tally, judge), "127.0.0.1", order.port
            )
            return protocol

    connections = await asyncio.gather(*(connect() for _ in range(order.case.connections)))
    for connection in connections:
        connection.send()
    await _turns(tally, order.case.connections, order.warm_up)
    pids = [pid for parent in order.pids for pid in family(parent)]
    warmed_up = tally.requests
    tally.requests = tally.received = 0
    tally.latencies.clear()
    before, client, started = processor_seconds(pids), time.process_time(), time.perf_counter()
    await _turns(tally, 2 * order.case.connections, order.seconds)
    seconds = time.perf_counter() - started
    used, own = processor_seconds(pids) - before, time.process_time() - client
    count = tally.received / order.case.size if order.case.size >= _LARGE else tally.requests
    latencies = sorted(tally.latencies) or [float("nan")]
    answered = warmed_up + tally.requests + await _end(tally, connections)
    return Measured(
        requests=count,
        seconds=seconds,
        server_seconds=used,
        client_seconds=own,
        resident=resident_bytes(pids),
        p50=_percentile(latencies, 0.5),
        p99=_percentile(latencies, 0.99),
        p999=_percentile(latencies, 0.999),
        answered=answered,
        wrong=dict(tally.wrong),
    )


async def _turns(tally: _Tally, answers: int, seconds: float) -> None:
    """Wait for so long, and longer where there are too few answers to tell anything from."""
    await asyncio.sleep(seconds)
    end = time.perf_counter() + _PATIENCE
    # An event would cost every answer something.
    while tally.requests < answers and time.perf_counter() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    while not tally.requests and time.perf_counter() < end + _DEADLINE / 2:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def _percentile(ascending: Sequence[float], part: float) -> float:
    return ascending[int(part * (len(ascending) - 1))]


async def _end(tally: _Tally, connections: Sequence[_Connection]) -> int:
    """Let what is under way be answered, so that nobody has to clean up; return how many were."""
    before = tally.requests
    tally.is_over = True
    end = time.perf_counter() + _DEADLINE
    while any(each.is_waiting for each in connections) and time.perf_counter() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    return tally.requests - before


def order_of(members: dict[str, Any]) -> Order:
    """Return the order from its JSON form."""
    return Order(**{**members, "case": Case(**members["case"]), "pids": tuple(members["pids"])})


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(put_on(order_of(json.load(sys.stdin))))
    sys.stdout.write(json.dumps(asdict(result)))

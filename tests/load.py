"""In charge of load on the service: many clients at once, each on a connection of its own.

`python -m tests.load PORT PATH CLIENTS SECONDS FIELD…` prints what was answered as JSON: a process of its
own, so that the load and what measures it do not share an interpreter.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import cast

import uvloop

from tests.service import ServiceProcess


@dataclass(frozen=True)
class Load:
    """What many clients were answered."""

    statuses: Counter[int]
    seconds: float

    @property
    def goodput(self) -> float:
        """Answers a second that were no error."""
        return sum(n for status, n in self.statuses.items() if status < 400) / self.seconds


def start_load(
    service: ServiceProcess, path: str, clients: int, seconds: float, *fields: str
) -> "subprocess.Popen[str]":
    """Begin to send requests from so many clients, each the next one as soon as it is answered."""
    arguments = map(str, (service.port, path, clients, seconds, *fields))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.load", *arguments], stdout=subprocess.PIPE, text=True
    )


def ended_load(process: "subprocess.Popen[str]") -> Load:
    """Wait for the end of the load and return what came of it."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    found = json.loads(output)
    statuses = Counter({int(status): n for status, n in found["statuses"].items()})
    return Load(statuses, found["seconds"])


class _Client(asyncio.Protocol):
    """One client: the next request as soon as the answer is whole. Counts a lost connection as 0."""

    def __init__(self, request: bytes, statuses: Counter[int]) -> None:
        self._request = request
        self._statuses = statuses
        self._received = b""
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(rest) < int(length or 0):
            return
        self._received = b""
        self._statuses[int(head[9:12])] += 1
        if not self.is_over:
            self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self.is_over:
            self._statuses[0] += 1


async def _main(port: int, path: str, clients: int, seconds: float, *fields: str) -> None:
    statuses: Counter[int] = Counter()
    head = f"GET {path} HTTP/1.1", "Host: localhost", *fields
    request = ("\r\n".join(head) + "\r\n\r\n").encode()
    loop = asyncio.get_running_loop()
    opened = [
        (await loop.create_connection(lambda: _Client(request, statuses), "127.0.0.1", port))[1]
        for _ in range(clients)
    ]
    statuses.clear()
    started = time.monotonic()
    await asyncio.sleep(seconds)
    taken = time.monotonic() - started
    for client in opened:
        client.is_over = True
    sys.stdout.write(json.dumps({"statuses": statuses, "seconds": taken}))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        port, path, clients, seconds, *fields = sys.argv[1:]
        runner.run(_main(int(port), path, int(clients), float(seconds), *fields))

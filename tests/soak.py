"""In charge of the soak: full load for ten minutes, and nothing that grows. `make soak`.

Resident memory behind a fifth of the time and at the end differ by less than 5 %, and as many
descriptors are open at the end as before. Runs on the stores whose variables are set, else on the
embedded default; MINUTES=2 makes it shorter.
"""

import asyncio
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

from tests.service import ServiceProcess, running, wait_for

CLIENTS = 64
NAMES = 2000
MEMORY_GROWTH = 0.05
PROGRESS = 10.0
"""Seconds between two progress lines."""

WEIGHTS = {"read": 60, "write": 20, "delete": 3, "list": 2, "wait": 3, "object": 2, "leave": 10}


class Client:
    """One client on a connection of its own, with another one when it is closed."""

    def __init__(self, port: int, outcomes: Counter[str], number: int) -> None:
        self._port = port
        self._outcomes = outcomes
        self._chance = random.Random(number)
        self._reader: asyncio.StreamReader | None = None

    async def run(self, until: float) -> None:
        """Send requests until then, by the loop's clock."""
        loop = asyncio.get_running_loop()
        kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
        while loop.time() < until:
            (kind,) = self._chance.choices(kinds, weights)
            try:
                async with asyncio.timeout(30):
                    self._outcomes[f"{kind} {await self._do(kind)}"] += 1
            except (ConnectionError, asyncio.IncompleteReadError):
                self._outcomes[f"{kind} reset"] += 1
                self._leave()
            except TimeoutError:
                self._outcomes[f"{kind} too slow"] += 1
                self._leave()
        self._leave()

    async def _do(self, kind: str) -> int:
        """Do something of this kind and return the status, 0 without an answer."""
        path = f"/api/v1/{self._chance.choice(['lisas', 'marges'])}/{self._chance.randrange(NAMES)}"
        match kind:
            case "wait":
                return await self._wait(path)
            case "object":
                await self._ask("PUT", "/api/v1/bart", b"x" * 300_000)
                path = "/api/v1/bart"
            case "list":
                path = path.rpartition("/")[0]
            case "leave":
                await self._send("GET", path)
                self._leave()
                return 0
        method = {"write": "PUT", "delete": "DELETE"}.get(kind, "GET")
        size = self._chance.choice([10, 100, 1000, 50_000])
        return (await self._ask(method, path, b"x" * size if kind == "write" else b""))[0]

    async def _wait(self, path: str) -> int:
        _, head = await self._ask("GET", path)
        tag = re.search(r"\r\nEtag: (\S+)", head)
        wish = f"If-None-Match: {tag[1]}\r\nPrefer: wait=1\r\n" if tag else ""
        return (await self._ask("GET", path, fields=wish))[0]

    async def _ask(
        self, method: str, path: str, body: bytes = b"", fields: str = ""
    ) -> tuple[int, str]:
        reader = await self._send(method, path, body, fields)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"\r\nContent-Length: (\d+)", head)
        status = int(head[9:12])
        if length is not None and status not in {204, 304}:
            await reader.readexactly(int(length[1]))
        if "\r\nConnection: close" in head:
            self._leave()
        return status, head

    async def _send(
        self, method: str, path: str, body: bytes = b"", fields: str = ""
    ) -> asyncio.StreamReader:
        if self._reader is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}{fields}\r\n"
        self._writer.write(head.encode() + body)
        await self._writer.drain()
        return self._reader

    def _leave(self) -> None:
        if self._reader is not None:
            self._writer.transport.abort()
            self._reader = None


class Samples:
    """What the process holds, over time."""

    def __init__(self, service: ServiceProcess) -> None:
        self._service = service
        self.resident: list[tuple[float, int]] = []
        """Seconds since the start, and KiB."""

    async def take(self, outcomes: Counter[str], seconds: float) -> None:
        """Take a sample a second, and print a line every ten."""
        started = time.monotonic()
        told = 0.0
        while (passed := time.monotonic() - started) < seconds:
            self.resident.append((passed, self._now()))
            if passed - told >= PROGRESS:
                told = passed
                say(
                    f"{passed:5.0f} s of {seconds:.0f}: {outcomes.total():8} requests, "
                    f"{self.resident[-1][1] / 1024:6.1f} MiB, "
                    f"{self._service.open_descriptors()} descriptors"
                )
            await asyncio.sleep(1)

    def around(self, second: float, width: float) -> float:
        """The median of what was resident around a second, in KiB."""
        return median(size for at, size in self.resident if abs(at - second) <= width)

    def _now(self) -> int:
        status = Path(f"/proc/{self._service.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1])


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def load(port: int, seconds: float, outcomes: Counter[str], samples: Samples) -> None:
    """Load the service for so long."""
    until = asyncio.get_running_loop().time() + seconds
    clients = [Client(port, outcomes, number).run(until) for number in range(CLIENTS)]
    await asyncio.gather(samples.take(outcomes, seconds), *clients)


def soak(seconds: float) -> list[str]:
    """Load a service of our own for so long; return a sentence for each thing that is wrong."""
    environment = dict(os.environ)  # a test's service has no settings but those that it is given
    with (
        tempfile.TemporaryDirectory() as directory,
        running(Path(directory), "--log-level=warning", **environment) as service,
    ):
        service.get("/api/v1/healthcheck")
        before = service.open_descriptors()
        outcomes: Counter[str] = Counter()
        samples = Samples(service)
        asyncio.run(load(service.port, seconds, outcomes, samples))
        for outcome, count in sorted(outcomes.items()):
            say(f"{outcome:20} {count}")
        wrong = [
            f"{count} times {outcome}"
            for outcome, count in outcomes.items()
            if outcome.endswith(("reset", "slow")) or re.search(r" 5\d\d$", outcome)
        ]
        early = samples.around(seconds / 5, seconds / 20)
        late = samples.around(seconds, seconds / 20)
        say(f"resident: {early / 1024:.1f} MiB early, {late / 1024:.1f} MiB late")
        if abs(late - early) > MEMORY_GROWTH * early:
            wrong.append(f"resident memory went from {early:.0f} to {late:.0f} KiB")
        try:
            wait_for(lambda: service.open_descriptors() <= before + SPARE)
        except AssertionError:
            wrong.append(f"{service.open_descriptors()} descriptors are open, {before} were before")
    return wrong


SPARE = 40
"""Descriptors that pools and threads may have opened meanwhile, and keep."""

if __name__ == "__main__":
    mistakes = soak(60 * float(os.environ.get("MINUTES", "10")))
    for mistake in mistakes:
        say(f"WRONG: {mistake}")
    say("The soak failed." if mistakes else "The soak passed.")
    sys.exit(bool(mistakes))

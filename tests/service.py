"""In charge of running the real service for tests, and of speaking HTTP to it."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def lasting_headers(self) -> Mapping[str, str]:
        """The headers that the same request would be answered with again."""
        of_the_moment = {"date", "age", "traceresponse"}
        return {name: value for name, value in self.headers.items() if name not in of_the_moment}

    @property
    def problem(self) -> dict[str, Any]:
        """The body as a problem; asserts that it is one and that it tells the truth."""
        assert self.headers["content-type"] == "application/problem+json", (self.status, self.body)
        members: dict[str, Any] = json.loads(self.body)
        assert members["status"] == self.status
        assert {"type", "title", "detail", "instance", "code", "trace_id"} <= set(members)
        return members


class ServiceProcess:
    """`python -m springfield serve` as a process, on a free port unless one is given."""

    PROGRAM = ("-m", "springfield")
    launcher: Sequence[str] = ()
    """A command that runs the command behind it."""
    descriptors: Sequence[int] = ()
    """What the process inherits."""

    def __init__(self, directory: Path, *flags: str, **environment: str) -> None:
        self.directory = directory
        self._arguments = [*self.launcher, sys.executable, *self.PROGRAM, "serve", *flags]
        if not any(flag.startswith("--port") for flag in flags):
            self._arguments.append("--port=0")
        self._environment = clean_environment(environment)
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.log.closed:  # the test did not stop it, and so has failed
            self.stop(signal.SIGKILL)

    def start(self) -> None:
        """Start the process, and wait until it listens."""
        self.log = (self.directory / "service.log").open("ab")
        self.process = subprocess.Popen(
            self._arguments,
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            start_new_session=True,  # no terminal, as in service: SIGHUP reloads
            pass_fds=self.descriptors,
        )
        assert self.process.stdout is not None
        self.banner = ""
        while "Ctrl+C" not in self.banner:
            line = self.process.stdout.readline().decode()
            if not line:
                self.stop()
                raise AssertionError(f"the service did not start:\n{self.banner}{self.errors()}")
            self.banner += line
        port = re.search(r"https?://\S+:(\d+)", self.banner)
        assert port is not None
        self.port = int(port[1])

    def errors(self) -> str:
        """What the process has written to its standard error."""
        return (self.directory / "service.log").read_text()

    def stop(self, number: int | None = signal.SIGTERM) -> int:
        """Send a signal (None: it was sent already) and return the exit code."""
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=20)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()  # not read to its end: a child may hold it
            self.log.close()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        **headers: str,
    ) -> Answer:
        """Send one request on a connection of its own; `path` and `_` in header names as in URLs."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                answer.read(),
            )

    def open_descriptors(self) -> int:
        """How many descriptors the process has open; nearly all are sockets."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    @contextlib.contextmanager
    def streaming(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """GET, without reading the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            yield connection.getresponse()

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.request("GET", path, None, **headers)

    def post(self, path: str, body: bytes, **headers: str) -> Answer:
        """POST."""
        return self.request("POST", path, body, **headers)


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return this environment without any setting of Springfield, and `more`."""
    ours = re.compile(r"SPRINGFIELD_|SERVER_PORT|MONGODB_|REDIS_|MYSQL_|AWS_|WEATHER_")
    inherited = {name: value for name, value in os.environ.items() if not ours.match(name)}
    # No test waits for the delay that load balancers need, unless it is about that.
    return {**inherited, "PYTHONWARNINGS": "error", "SPRINGFIELD_DRAIN_DELAY": "0", **more}


@contextlib.contextmanager
def running(directory: Path, *flags: str, **environment: str) -> Iterator[ServiceProcess]:
    """Run the service; at the end it must stop cleanly and leave no traceback in its log."""
    service = ServiceProcess(directory, *flags, **environment)
    try:
        yield service
    finally:
        code = service.stop()
    assert code == 0, service.errors()
    assert "Traceback" not in service.errors(), service.errors()


def springfield(
    *arguments: str, directory: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "springfield", *arguments],
        cwd=directory,
        env=clean_environment(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def wait_for(condition: Callable[[], bool], deadline: float = 10, *, pause: float = 0.01) -> None:
    """Return once `condition` is true; fail where it is not within `deadline` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(pause)

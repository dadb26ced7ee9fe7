"""The standard streams of the real process: whoever reads them, or closed them, it serves."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.servers.process import free_port
from tests.service import clean_environment, wait_for

CLOSE = (
    "import os, sys; [os.close(int(n)) for n in sys.argv[1]]; os.execv(sys.argv[2], sys.argv[2:])"
)


def is_served(port: int) -> bool:
    """Tell whether a request is answered; an answer that something was written into is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/api/v1/flanders")
        return connection.getresponse().read() == b"Hi-dilly-ho, neighborino!"
    except OSError:
        return False
    finally:
        connection.close()


def command(port: int, workers: str) -> list[str]:
    return [sys.executable, "-m", "springfield", "serve", f"--port={port}", f"--workers={workers}"]


@pytest.fixture(params=["that is full", "that nobody reads any more"])
def pipe(request: pytest.FixtureRequest) -> Iterator[int]:
    reader, writer = os.pipe()
    if request.param == "that is full":
        os.set_blocking(writer, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writer, bytes(4096))
        os.set_blocking(writer, True)
    else:
        os.close(reader)
    yield writer
    os.close(writer)
    if request.param == "that is full":
        os.close(reader)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_starts_serves_and_stops_whatever_becomes_of_its_output(
    tmp_path: Path, workers: str, pipe: int
) -> None:
    port = free_port()
    process = subprocess.Popen(
        command(port, workers),
        cwd=tmp_path,
        env=clean_environment({}),
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,
    )
    try:
        wait_for(lambda: is_served(port))
        process.send_signal(signal.SIGHUP)
        assert is_served(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("closed", ["1", "2", "012"])
def test_what_is_closed_at_the_start_is_not_taken_for_a_connection(
    tmp_path: Path, workers: str, closed: str
) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", CLOSE, closed, *command(port, workers)],
        cwd=tmp_path,
        env=clean_environment({}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(lambda: is_served(port))
        for number in closed:
            assert Path(f"/proc/{process.pid}/fd/{number}").readlink() == Path(os.devnull)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
    finally:
        process.kill()
        process.wait()

"""The real process under a service manager: what it tells it, and which sockets it takes from it."""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.administration import Administration
from tests.server.test_tls import write_certificate
from tests.service import ServiceProcess, wait_for

GET = b"GET /api/v1/flanders HTTP/1.1\r\nHost: localhost\r\n\r\n"
WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


class Manager:
    """Reads what a service says at NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(20)

    def next(self) -> list[str]:
        """Return the next message, line by line."""
        return self._socket.recv(4096).decode().splitlines()

    def wait_for(self, line: str) -> None:
        """Return when a message has this line."""
        while line not in self.next():
            pass

    def rest(self) -> list[str]:
        """Return the lines of all messages that have come."""
        self._socket.settimeout(0)
        lines = []
        with contextlib.suppress(BlockingIOError):
            while True:
                lines += self.next()
        self._socket.settimeout(20)
        return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = f"{tmp_path}/notify" if request.param == "path" else f"@springfield-{os.getpid()}"
    with contextlib.closing(Manager(address)) as manager:
        yield manager


@WORKERS
def test_the_manager_is_told_of_the_start_and_of_the_stop(
    tmp_path: Path, manager: Manager, workers: str
) -> None:
    with ServiceProcess(tmp_path, f"--workers={workers}", NOTIFY_SOCKET=manager.address) as service:
        assert manager.next()[0] == "READY=1"
        assert manager.rest() == []  # the workers say nothing by themselves
        assert service.stop() == 0
    stopping = manager.rest()
    assert stopping[0] == "STOPPING=1"
    assert stopping.count("STOPPING=1") == 1


@WORKERS
def test_the_manager_is_told_of_a_reload(tmp_path: Path, workers: str) -> None:
    certificate, key = write_certificate(tmp_path, "localhost")
    with contextlib.closing(Manager(f"{tmp_path}/notify")) as manager:
        environment = {
            "NOTIFY_SOCKET": manager.address,
            "SPRINGFIELD_TLS_CERTIFICATE": str(certificate),
            "SPRINGFIELD_TLS_KEY": str(key),
        }
        with ServiceProcess(tmp_path, f"--workers={workers}", **environment) as service:
            assert manager.next()[0] == "READY=1"
            before = time.monotonic_ns() // 1000
            service.process.send_signal(signal.SIGHUP)
            reloading = manager.next()
            assert reloading[0] == "RELOADING=1"
            assert reloading[1].startswith("MONOTONIC_USEC=")
            assert before <= int(reloading[1].partition("=")[2]) <= time.monotonic_ns() // 1000
            assert manager.next()[0] == "READY=1"
            wait_for(lambda: service.errors().count("reloaded: changed") == int(workers))
            assert service.stop() == 0


def test_a_manager_that_is_not_there_is_harmless(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path, NOTIFY_SOCKET=f"{tmp_path}/nobody") as service:
        assert service.get("/api/v1/flanders").status == 200
        assert service.stop() == 0
        assert "could not be told" in service.errors()


ACTIVATE = """
import os, sys
for position, descriptor in enumerate(sys.argv[1].split(",")):
    os.dup2(int(descriptor), 3 + position)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Activated(ServiceProcess):
    """Has its sockets handed over, as systemd does: from descriptor 3 on."""

    def __init__(
        self, directory: Path, sockets: Sequence[socket.socket], *flags: str, names: str
    ) -> None:
        copies = [fcntl.fcntl(each, fcntl.F_DUPFD, 50) for each in sockets]
        given = ",".join(map(str, copies))
        self.launcher = (sys.executable, "-I", "-S", "-c", ACTIVATE, given)
        self.descriptors = copies
        try:
            super().__init__(directory, *flags, LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=names)
        finally:
            for descriptor in copies:
                os.close(descriptor)


@WORKERS
@pytest.mark.parametrize("engine", ["httptools", "tornado"])
def test_it_serves_on_the_socket_that_is_handed_over(
    tmp_path: Path, workers: str, engine: str
) -> None:
    flags = [f"--workers={workers}", f"--engine={engine}", "--port=1"]
    with socket.create_server(("127.0.0.1", 0)) as handed:
        port = handed.getsockname()[1]
        with Activated(tmp_path, [handed], *flags, names="springfield.socket") as service:
            assert service.port == port
            assert service.get("/api/v1/flanders").status == 200
            assert service.stop() == 0
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(GET)  # the manager keeps the socket: who comes between is not lost
            with Activated(tmp_path, [handed], *flags, names="springfield.socket") as service:
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
                assert service.stop() == 0


@WORKERS
def test_a_socket_that_is_named_admin_is_the_admin_listeners(tmp_path: Path, workers: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as public,
        socket.create_server(("127.0.0.1", 0)) as admin,
        Activated(
            tmp_path, [admin, public], f"--workers={workers}", "--port=1", names="admin:http"
        ) as service,
    ):
        assert service.port == public.getsockname()[1]
        assert service.get("/api/v1/flanders").status == 200
        assert service.get("/livez").status == 404
        administration = Administration(admin.getsockname()[1])
        assert administration.get("/livez").status == 200
        assert administration.get("/api/v1/flanders").status == 404
        assert service.stop() == 0


def test_a_handed_over_socket_that_is_open_to_all_answers_to_all_names(tmp_path: Path) -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as handed,
        Activated(tmp_path, [handed], names="http") as service,
    ):
        assert service.get("/api/v1/flanders", Host="springfield.example").status == 200
        assert service.stop() == 0


def test_sockets_for_another_process_are_left_alone(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path, LISTEN_PID="1", LISTEN_FDS="1") as service:
        assert service.get("/api/v1/flanders").status == 200
        assert service.stop() == 0


def test_a_descriptor_that_does_not_listen_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as idle, pytest.raises(AssertionError, match="did not start") as failure:
        Activated(tmp_path, [idle], names="http")
    assert "springfield: Descriptor 3 ('http'), handed over in LISTEN_FDS, does not listen" in str(
        failure.value
    )
    assert "Traceback" not in str(failure.value)

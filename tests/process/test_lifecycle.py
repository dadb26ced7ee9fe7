"""The life of the real process: start, stop, what a kill leaves, what stops it from starting."""

import contextlib
import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.namespaces import require_namespaces
from tests.process.outside import children_of
from tests.servers.mongodb import MongodbServer
from tests.servers.mysql import MysqlServer
from tests.service import ServiceProcess, clean_environment, running, springfield, wait_for

PAIRS = [("homers", b'{"doh": 1}'), ("lisas", b"sax"), ("marges", b"\x00\xff")]


def test_everything_is_still_there_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        for resource, body in PAIRS:
            assert service.post(f"/api/v1/{resource}/kept", body).status == 204
        assert service.post("/api/v1/bart", b"ay caramba", Content_Type="text/x-bart").status == 204
    with running(tmp_path) as service:
        for resource, body in PAIRS:
            assert service.get(f"/api/v1/{resource}/kept").body == body
        bart = service.get("/api/v1/bart")
        assert (bart.body, bart.headers["content-type"]) == (b"ay caramba", "text/x-bart")


def test_the_banner_says_what_is_bound_where(tmp_path: Path) -> None:
    with running(tmp_path, "--marges-url=redis://:hunter2@127.0.0.1:1/0") as service:
        assert f"http://127.0.0.1:{service.port}" in service.banner
        assert f"{tmp_path}/springfield-data/springfield.db" in service.banner
        assert "redis://:***@127.0.0.1:1/0" in service.banner
        assert "hunter2" not in service.banner + service.errors()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_finishes_what_is_in_flight(
    tmp_path: Path, number: signal.Signals
) -> None:
    service = ServiceProcess(tmp_path)
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(
            b"POST /api/v1/lisas/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\ns"
        )
        wait_for(lambda: service.get("/api/v1/flanders").status == 200)
        service.process.send_signal(number)
        wait_for(lambda: not is_listening(service.port))
        client.sendall(b"ax")
        assert client.recv(65536).startswith(b"HTTP/1.1 204 ")
    assert service.stop(None) == 0
    assert "Traceback" not in service.errors()
    with running(tmp_path) as service:
        assert service.get("/api/v1/lisas/slow").body == b"sax"


@pytest.mark.parametrize("engine", ["httptools", "tornado"])
def test_a_refused_body_that_never_comes_does_not_delay_the_stop(
    tmp_path: Path, engine: str
) -> None:
    service = ServiceProcess(tmp_path, f"--engine={engine}")
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        head = (
            b"GET /api/v1/flanders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\nx"
        )
        client.sendall(head)
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")
        started = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - started < 5
    assert '"level": "error"' not in service.errors()


@pytest.mark.parametrize("engine", ["httptools", "tornado"])
def test_a_download_that_was_taken_whole_is_logged_as_such(tmp_path: Path, engine: str) -> None:
    with running(tmp_path, f"--engine={engine}") as service:
        service.post("/api/v1/bart", b"Ay caramba!" * 1000)
        for _ in range(10):
            assert len(service.get("/api/v1/bart").body) == 11_000
    assert service.errors().count('"status": 200') == 10
    assert '"status": 499' not in service.errors()
    assert '"level": "error"' not in service.errors()


def test_idle_connections_do_not_delay_the_stop(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path)
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    connection.request("GET", "/api/v1/flanders")
    assert connection.getresponse().read()
    started = time.monotonic()
    assert service.stop(signal.SIGINT) == 0
    assert time.monotonic() - started < 5
    connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    service = ServiceProcess(tmp_path)
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(
            b"POST /api/v1/lisas/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\ns"
        )
        wait_for(lambda: service.get("/api/v1/flanders").status == 200)
        service.process.send_signal(number)
        wait_for(lambda: not is_listening(service.port))
        started = time.monotonic()
        assert service.stop(number) == 128 + number
        assert time.monotonic() - started < 5


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # Tornado forgets to close the socket that it could not bind; Python warns of it if asked.
        quiet = {"PYTHONWARNINGS": "ignore"}
        ended = springfield("serve", f"--port={port}", directory=tmp_path, **quiet)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"springfield: Port {port} of 127.0.0.1 cannot be bound (Address already in use); stop what "
        "uses it, or choose another with --port.\n"
    )


def test_a_data_directory_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = springfield("serve", "--port=0", f"--data-dir={tmp_path}/file/data", directory=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        f"springfield: The data directory {tmp_path}/file/data cannot be"
    )
    assert ended.stderr.count("\n") == 1


def test_a_data_directory_with_a_space_is_checked_as_well(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    ended = springfield("serve", "--port=0", f"--data-dir={tmp_path}/a file/x", directory=tmp_path)
    assert ended.returncode == 1
    assert "cannot be written" in ended.stderr


def test_a_signal_during_the_start_ends_it_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "springfield", "serve", "--port=0", "--store-timeout=60",
             f"--marges-url=redis://127.0.0.1:{port}"],
            cwd=tmp_path, env=clean_environment({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        silent.settimeout(20)
        with silent.accept()[0]:  # it has begun to ask the store
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=10)
    assert (process.returncode, b"listens" in out, b"Traceback" in err) == (0, False, False)


@pytest.mark.parametrize("is_process_one", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_program_is_still_imported_ends_it(
    tmp_path: Path, number: signal.Signals, is_process_one: bool
) -> None:
    """Process 1 of a container loses every signal that it has no handler for."""
    with importing(tmp_path, "serve", "--port=0", is_process_one=is_process_one) as process:
        os.kill(process.pid, signal.SIGHUP)
        os.kill(process.pid, signal.SIGUSR2)
        os.kill(process.pid, number)
        out, err = process.parent.communicate(timeout=20)
    assert (process.parent.returncode, out, err) == (0, b"", b"")


def test_a_command_that_is_ended_while_it_is_imported_has_not_done_its_work(tmp_path: Path) -> None:
    with importing(tmp_path, "init", is_process_one=True) as process:
        os.kill(process.pid, signal.SIGTERM)
        assert process.parent.wait(timeout=20) == 128 + signal.SIGTERM


def test_reload_and_replacement_signals_do_not_end_it_while_it_is_imported(tmp_path: Path) -> None:
    with importing(tmp_path, "serve", "--port=0", is_process_one=False) as process:
        os.kill(process.pid, signal.SIGHUP)
        os.kill(process.pid, signal.SIGUSR2)
        assert process.parent.stdout is not None
        assert b"listens on" in process.parent.stdout.readline()
        os.kill(process.pid, signal.SIGTERM)
        assert process.parent.wait(timeout=20) == 0


def test_one_process_ignores_the_wish_to_replace_it_and_says_what_to_do(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        service.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: "SIGUSR2 is ignored: there is one process" in service.errors())
        assert service.get("/api/v1/flanders").status == 200


@dataclass(frozen=True)
class Importing:
    """A program that has not imported its libraries yet."""

    parent: "subprocess.Popen[bytes]"
    pid: int


@contextlib.contextmanager
def importing(directory: Path, *command: str, is_process_one: bool) -> Iterator[Importing]:
    """Start the program; it has begun to take SIGTERM, and has not imported pydantic."""
    launcher: tuple[str, ...] = ()
    if is_process_one:
        require_namespaces("--pid", "--fork", "--mount-proc")
        launcher = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    parent = subprocess.Popen(
        [*launcher, sys.executable, "-m", "springfield", *command], cwd=directory,
        env=clean_environment({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    with parent, contextlib.ExitStack() as stack:
        stack.callback(parent.kill)
        if is_process_one:
            wait_for(lambda: len(children_of(parent.pid)) == 1)
        pid = children_of(parent.pid)[0] if is_process_one else parent.pid
        wait_for(lambda: is_python(pid) and takes(pid, signal.SIGTERM), pause=0.001)
        assert "pydantic_core" not in Path(f"/proc/{pid}/maps").read_text()
        yield Importing(parent, pid)


def is_python(pid: int) -> bool:
    return b"springfield" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def takes(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (number - 1) & 1)


def test_a_host_that_is_not_known_is_one_clear_line(tmp_path: Path) -> None:
    ended = springfield("serve", "--host=no.such.host.invalid", "--port=0", directory=tmp_path)
    assert ended.returncode == 1
    assert "no.such.host.invalid" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_store_that_is_unreachable_does_not_stop_the_others(tmp_path: Path) -> None:
    nowhere = {
        "MONGODB_URI": "mongodb://127.0.0.1:1/test",
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": "1",
        "AWS_S3_BUCKET": "bucket",
        "AWS_S3_OBJECT": "key",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    with running(tmp_path, **nowhere) as service:
        for resource in ("homers", "marges", "bart"):
            sentence = f"{resource} cannot be served yet"
            wait_for(lambda sentence=sentence: sentence in service.errors())  # type: ignore[misc]
        for path in ("/api/v1/homers/x", "/api/v1/marges/x", "/api/v1/bart"):
            for answer in (service.get(path), service.post(path, b"1")):
                # A busy machine may be too slow to be refused: then it is 504.
                assert answer.status in {503, 504}
                assert answer.problem["code"] == "not-done"
                assert answer.status == 504 or int(answer.headers["retry-after"]) >= 1
        assert service.post("/api/v1/lisas/x", b"sax").status == 204
        assert service.get("/api/v1/lisas/x").body == b"sax"
        health = service.get("/api/v1/healthcheck")
        assert health.status == 503
        assert health.problem["failed"] == ["homers", "marges", "bart"]


def test_a_missing_unique_index_is_warned_of_at_start(
    tmp_path: Path, mongodb_server: MongodbServer
) -> None:
    url = {"SPRINGFIELD_HOMERS_URL": f"{mongodb_server.url}?collection=started"}
    with running(tmp_path, **url) as service:
        service.get("/api/v1/flanders")
    assert "unique index" in service.errors()
    assert springfield("init", directory=tmp_path, **url).returncode == 0
    (tmp_path / "service.log").unlink()
    with running(tmp_path, **url) as service:
        service.get("/api/v1/flanders")
    assert "unique index" not in service.errors()


def test_two_processes_share_one_data_directory(tmp_path: Path) -> None:
    with running(tmp_path) as one, running(tmp_path) as other, ThreadPoolExecutor(8) as pool:

        def write(number: int) -> int:
            service = one if number % 2 else other
            return service.post(f"/api/v1/lisas/n{number}", b"%d" % number).status

        assert set(pool.map(write, range(200))) == {204}
        for number in range(200):
            assert other.get(f"/api/v1/lisas/n{number}").body == b"%d" % number


def test_a_kill_loses_no_write_that_was_answered_on_the_embedded_default(tmp_path: Path) -> None:
    assert_a_kill_loses_nothing(tmp_path, {})


def test_a_kill_loses_no_write_that_was_answered_on_mysql(
    tmp_path: Path, mysql_server: MysqlServer
) -> None:
    url = {"SPRINGFIELD_LISAS_URL": f"{mysql_server.url}?table=killed"}
    assert springfield("init", directory=tmp_path, **url).returncode == 0
    assert_a_kill_loses_nothing(tmp_path, url)


def assert_a_kill_loses_nothing(directory: Path, environment: dict[str, str]) -> None:
    """Kill -9 the service in the middle of 10,000 writes by eight clients."""
    service = ServiceProcess(directory, "--log-level=warning", **environment)
    numbers = itertools.count()
    answered: list[int] = []
    enough = threading.Event()

    def write() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
        try:
            while (number := next(numbers)) < 10_000:
                connection.request("POST", f"/api/v1/lisas/n{number}", f"sax {number}")
                answer = connection.getresponse()
                answer.read()
                if answer.status == 204:
                    answered.append(number)
                if len(answered) > 2000:
                    enough.set()
        except (OSError, http.client.HTTPException):
            pass  # killed in the middle: this write was not answered
        finally:
            connection.close()

    writers = [threading.Thread(target=write) for _ in range(8)]
    for writer in writers:
        writer.start()
    assert enough.wait(60)
    service.process.kill()
    for writer in writers:
        writer.join()
    service.stop()
    assert 2000 < len(answered) < 10_000
    with running(directory, "--log-level=warning", **environment) as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
        for number in answered:
            connection.request("GET", f"/api/v1/lisas/n{number}")
            assert connection.getresponse().read() == f"sax {number}".encode()
        connection.close()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

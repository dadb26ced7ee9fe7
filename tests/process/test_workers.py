"""Several workers under a supervisor: real processes, killed, replaced and stopped."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import pytest

from tests.administration import Administration
from tests.process.crowd import Crowd
from tests.process.outside import children_of, is_listening
from tests.process.test_reload import certificate_name
from tests.process.test_systemd import Manager
from tests.server.test_tls import write_certificate
from tests.service import ServiceProcess, clean_environment, running, springfield, wait_for

ENGINES = pytest.mark.parametrize("engine", ["httptools", "tornado"])


class Workers(ServiceProcess):
    """A service with workers."""

    seen: tuple[int, ...] = ()

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers."""
        found = children_of(self.process.pid)
        self.seen += tuple(found)
        return found

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        for left in filter(is_alive, self.seen):  # what a failed test is about
            os.kill(left, signal.SIGKILL)


@contextlib.contextmanager
def keeping(service: ServiceProcess, count: int) -> Iterator[list[http.client.HTTPConnection]]:
    """Have so many connections, each of which has had an answer."""
    with contextlib.ExitStack() as stack:
        kept = []
        for _ in range(count):
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
            kept.append(stack.enter_context(contextlib.closing(connection)))
            assert answers(connection)
        yield kept


def answers(connection: http.client.HTTPConnection) -> bool:
    """Tell whether there is an answer on this very connection."""
    try:
        connection.request("GET", "/api/v1/flanders")
        connection.auto_open = 0  # from now on it is not connected anew
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return False
    return answer.status == 200


@ENGINES
def test_workers_share_what_comes_and_stop_together(tmp_path: Path, engine: str) -> None:
    flags = ["--workers=3", f"--engine={engine}", "--unix-socket=springfield.sock"]
    with Workers(tmp_path, *flags) as service:
        assert service.banner.count("listens on") == 1
        workers = service.workers
        assert len(workers) == 3
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        assert "\nThreads:\t1\n" in status  # a fork beside threads may hang
        assert len({os.getpgid(each) for each in [service.process.pid, *workers]}) == 4
        idle = [descriptors_of(each) for each in workers]
        with keeping(service, 60):
            shares = [
                descriptors_of(each) - before for each, before in zip(workers, idle, strict=True)
            ]
            assert sum(shares) >= 60
            assert min(shares) >= 3, shares
        assert service.stop() == 0
        assert not is_listening(service.port)
        assert not (tmp_path / "springfield.sock").exists()
        assert "Traceback" not in service.errors()


def test_a_killed_worker_is_replaced_in_a_moment_and_its_siblings_do_not_notice(
    tmp_path: Path,
) -> None:
    with contextlib.closing(Manager(f"{tmp_path}/notify")) as manager:
        started = time.monotonic()
        with Workers(tmp_path, "--workers=2", NOTIFY_SOCKET=manager.address) as service:
            start = time.monotonic() - started
            manager.rest()
            before = service.workers
            with keeping(service, 40) as kept:
                killed = time.monotonic()
                os.kill(before[0], signal.SIGKILL)
                manager.wait_for("STATUS=2 of 2 processes are serving.")
                replaced = time.monotonic() - killed
                # A second on a machine that is not busy; a busy one is as slow at starting.
                assert replaced < max(1.0, start), f"{replaced:.2f} s"
                after = service.workers
                assert before[1] in after
                assert before[0] not in after
                survivors = sum(answers(each) for each in kept)
                assert 0 < survivors < 40
            for _ in range(20):
                assert service.get("/api/v1/flanders").status == 200
            assert "was killed by signal 9" in service.errors()
            assert service.stop() == 0


def test_a_worker_that_is_told_to_stop_by_somebody_else_is_replaced_and_that_is_no_error(
    tmp_path: Path,
) -> None:
    with Workers(tmp_path, "--workers=2", "--log-level=info") as service:
        before = service.workers
        os.kill(before[0], signal.SIGUSR1)
        os.kill(before[0], signal.SIGTERM)
        wait_for(lambda: "is replaced in 0.0 s" in service.errors())
        wait_for(lambda: len(service.workers) == 2)
        assert before[1] in service.workers
        assert "ended with exit code 0" in service.errors()
        assert '"level": "error"' not in service.errors()
        assert service.stop() == 0


def test_who_dies_again_soon_is_replaced_ever_later(tmp_path: Path) -> None:
    with Workers(tmp_path, "--workers=2") as service:
        steady, victim = service.workers
        for _ in range(3):
            known = {steady, victim}
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda known=known: len(set(service.workers) - known) == 1)  # type: ignore[misc]
            (victim,) = set(service.workers) - known
        assert re.findall(r"is replaced in ([\d.]+) s", service.errors()) == ["0.0", "0.5", "1.0"]
        assert service.stop() == 0


@ENGINES
def test_all_workers_are_replaced_under_load_without_a_failed_request(
    tmp_path: Path, engine: str
) -> None:
    flags = ["--workers=2", f"--engine={engine}", "--drain-delay=1", "--log-level=info"]
    with Workers(tmp_path, *flags) as service:
        before = set(service.workers)
        with Crowd([service.port], clients=30, hold=0.1) as crowd:
            wait_for(lambda: crowd.answered[service.port] > 200)
            service.process.send_signal(signal.SIGUSR2)
            wait_for(lambda: not before & set(service.workers))
            done = crowd.answered[service.port]
            wait_for(lambda: crowd.answered[service.port] > done + 200)
        assert crowd.failures == []
        assert len(service.workers) == 2
        assert service.stop() == 0
        assert "Traceback" not in service.errors()


def test_a_worker_whose_successor_cannot_start_goes_on(tmp_path: Path) -> None:
    with socket.socket() as store:
        store.bind(("127.0.0.1", 0))  # refuses, until it listens; then it is silent
        url = f"--marges-url=redis://127.0.0.1:{store.getsockname()[1]}"
        with Workers(tmp_path, "--workers=2", "--store-timeout=60", url) as service:
            before = set(service.workers)
            store.listen()
            service.process.send_signal(signal.SIGUSR2)
            wait_for(lambda: len(service.workers) == 3)
            (successor,) = set(service.workers) - before
            os.kill(successor, signal.SIGKILL)
            wait_for(lambda: "worker 0 is not replaced" in service.errors())
            assert "was killed by signal 9" in service.errors()
            assert set(service.workers) == before
            assert service.stop() == 0


@pytest.mark.parametrize("how", ["SIGHUP", "POST"])
def test_a_worker_that_is_replaced_has_what_was_reloaded_whatever_the_files_hold_by_then(
    tmp_path: Path, how: str
) -> None:
    file = tmp_path / "springfield.toml"
    file.write_text("item_limit = 8\n")
    chain, key = write_certificate(tmp_path, "first")
    flags = [f"--tls-certificate={chain}", f"--tls-key={key}", f"--config={file}"]
    with Workers(tmp_path, "--workers=2", "--admin-socket=a", *flags) as service:
        admin = Administration(tmp_path / "a")
        write_certificate(tmp_path, "second")
        file.write_text("item_limit = 9\n")
        if how == "POST":
            for each in admin.json("/reload", "POST")["workers"].values():
                assert each["changed"] == ["item_limit", "tls_certificate"]
        else:
            service.process.send_signal(signal.SIGHUP)
        wait_for(lambda: limits_of(admin) == {"0": "9B", "1": "9B"})
        wait_for(lambda: "is replaced gets what was reloaded" in service.errors())
        key.write_text("doh")
        file.write_text("item_limit = doh\n")
        assert admin.request("POST", "/reload").status == 422
        replace_all(service, admin)
        assert limits_of(admin) == {"0": "9B", "1": "9B"}
        assert {certificate_name(service.port) for _ in range(20)} == {"second"}
        victim = worker_of(admin, "0")
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: victim not in service.workers)
        wait_for(lambda: limits_of(admin) == {"0": "9B", "1": "9B"})
        assert service.stop() == 0
        assert "Traceback" not in service.errors()


def test_a_worker_that_is_replaced_has_the_switches_that_were_thrown(tmp_path: Path) -> None:
    with Workers(tmp_path, "--workers=2", "--admin-socket=a") as service:
        admin = Administration(tmp_path / "a")
        for method, is_on, level in (("POST", True, "debug"), ("DELETE", False, "warning")):
            admin.json("/drain", method)
            admin.json("/log-level", "PUT", level.encode())
            replace_all(service, admin)
            assert admin.json("/drain")["workers"] == {n: {"draining": is_on} for n in "01"}
            assert admin.json("/log-level")["workers"] == {n: {"log_level": level} for n in "01"}
            closes = service.get("/api/v1/flanders").headers.get("connection") == "close"
            assert closes == is_on
            assert admin.get("/readyz").status == (503 if is_on else 200)
        assert service.stop() == 0


def replace_all(service: Workers, admin: Administration) -> None:
    """Have all processes replaced, and wait until that is done."""
    before = set(service.workers)
    service.process.send_signal(signal.SIGUSR2)
    wait_for(lambda: not before & set(service.workers), deadline=30)
    wait_for(lambda: admin.get("/livez").status == 200)


def limits_of(admin: Administration) -> dict[str, str]:
    """Return the limit in force in each worker that runs."""
    answer = admin.get("/info")
    if answer.status != 200:
        return {}
    workers = json.loads(answer.body)["workers"]
    return {
        number: each["settings"]["item_limit"]["value"]
        for number, each in workers.items()
        if "settings" in each
    }


def worker_of(admin: Administration, number: str) -> int:
    pid: int = admin.json("/info")["workers"][number]["pid"]
    return pid


def test_workers_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    with Workers(tmp_path, "--workers=2") as service:
        workers = service.workers
        with keeping(service, 4):
            service.process.kill()
            wait_for(lambda: not any(is_alive(each) for each in workers))
        assert not is_listening(service.port)


def test_a_second_signal_kills_the_workers_too(tmp_path: Path) -> None:
    with Workers(tmp_path, "--workers=2", "--drain-delay=60") as service:
        workers = service.workers
        service.process.send_signal(signal.SIGTERM)
        wait_for(lambda: service.errors().count("draining for") == 2)
        assert service.stop(signal.SIGTERM) == 128 + signal.SIGTERM
        wait_for(lambda: not any(is_alive(each) for each in workers))


def test_a_manager_that_signals_all_processes_drains_all_the_same(tmp_path: Path) -> None:
    """With KillMode=control-group each worker gets the signal twice."""
    with Workers(tmp_path, "--workers=2", "--drain-delay=1") as service:
        for each in service.workers:
            os.kill(each, signal.SIGTERM)
        wait_for(lambda: service.errors().count("draining for") == 2)
        assert service.stop() == 0


def test_sigint_to_the_supervisor_does_not_wait_for_the_delay(tmp_path: Path) -> None:
    with Workers(tmp_path, "--workers=2", "--drain-delay=60") as service:
        assert service.stop(signal.SIGINT) == 0


def test_requests_in_flight_are_finished_by_all_workers(tmp_path: Path) -> None:
    with Workers(tmp_path, "--workers=2") as service, contextlib.ExitStack() as stack:
        clients = []
        for number in range(10):
            client = socket.create_connection(("127.0.0.1", service.port))
            clients.append(stack.enter_context(client))
            client.sendall(
                b"POST /api/v1/lisas/%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\ns"
                % number
            )
        for _ in range(10):
            assert service.get("/api/v1/flanders").status == 200  # they are accepted by now
        service.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not is_listening(service.port))
        for client in clients:
            client.sendall(b"ax")
            assert client.recv(65536).startswith(b"HTTP/1.1 204 ")
        assert service.stop(None) == 0


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (["--tls-certificate=none", "--tls-key=none"], 1, "none and none cannot be read"),
        (["--homers-url=sqlite:here/"], 2, "names no file"),
        (["--trusted-proxies=doh"], 1, "'doh' is no network"),
        (["--workers=0"], 2, "workers = '0' (flag --workers)"),
        (["--workers=doh"], 2, "workers = 'doh' (flag --workers)"),
    ],
)
def test_what_keeps_workers_from_starting_is_one_clear_line(
    tmp_path: Path, flags: list[str], code: int, sentence: str
) -> None:
    ended = springfield("serve", "--port=0", "--workers=2", *flags, directory=tmp_path)
    assert ended.returncode == code, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("springfield: ")]
    assert len(lines) == 1, ended.stderr
    assert sentence in lines[0]
    assert "Traceback" not in ended.stderr
    assert "listens on" not in ended.stdout


def test_a_port_in_use_is_one_clear_line_with_workers_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = springfield("serve", f"--port={port}", "--workers=2", directory=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"springfield: Port {port} of 127.0.0.1 cannot be bound")
    assert ended.stderr.count("\n") == 1


@pytest.fixture
def starting(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A service whose workers never become ready, as their store does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen(
            [sys.executable, "-m", "springfield", "serve", "--port=0", "--store-timeout=60",
             "--workers=2", f"--marges-url=redis://127.0.0.1:{silent.getsockname()[1]}"],
            cwd=tmp_path, env=clean_environment({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        with process:
            silent.settimeout(20)
            with silent.accept()[0], silent.accept()[0]:  # both have begun to ask
                yield process
            process.kill()


def test_workers_that_die_again_and_again_before_they_are_ready_end_it(
    starting: "subprocess.Popen[bytes]",
) -> None:
    for deaths in range(3):
        wait_for(lambda: len(children_of(starting.pid)) == 2)
        victim = children_of(starting.pid)[0]
        os.kill(victim, signal.SIGKILL)
        if deaths < 2:
            wait_for(lambda pid=victim: pid not in children_of(starting.pid))  # type: ignore[misc]
    out, err = starting.communicate(timeout=20)
    assert starting.returncode == 1
    assert b"springfield: The workers end again and again before they are ready" in err
    assert (b"listens" in out, b"Traceback" in err) == (False, False)


def test_a_signal_during_the_start_ends_all_workers(starting: "subprocess.Popen[bytes]") -> None:
    workers = children_of(starting.pid)
    starting.send_signal(signal.SIGTERM)
    out, err = starting.communicate(timeout=20)
    assert (starting.returncode, b"listens" in out, b"Traceback" in err) == (0, False, False)
    assert not any(is_alive(each) for each in workers)


@pytest.mark.parametrize("path", ["/api/v1/lisas/sum", "/api/v1/bart"])
def test_of_increments_through_many_workers_none_is_lost(tmp_path: Path, path: str) -> None:
    def increment(_: int) -> int:
        tries = 0
        while True:
            tries += 1
            now = service.get(path)  # each request on a connection, and so on a worker, by chance
            new = b"%d" % (int(now.body) + 1)
            status = service.request("PUT", path, new, If_Match=now.headers["etag"]).status
            if status == 204:
                return tries
            assert status in {412, 503}, status

    with running(tmp_path, "--workers=3", "--log-level=error") as service:
        assert service.post(path, b"0").status == 204
        with ThreadPoolExecutor(8) as pool:
            tries = sum(pool.map(increment, range(120)))
        assert int(service.get(path).body) == 120
        assert tries > 120, "nobody raced"


def test_who_waits_is_told_of_a_change_through_another_worker(tmp_path: Path) -> None:
    with running(tmp_path, "--workers=2", "--wait-tick=0.1", "--log-level=error") as service:
        tag = service.post("/api/v1/lisas/x", b"1").headers["etag"]
        wish = {"If_None_Match": tag, "Prefer": "wait=30"}
        with ThreadPoolExecutor(12) as pool:
            waiting = [pool.submit(service.get, "/api/v1/lisas/x", **wish) for _ in range(12)]
            time.sleep(0.5)  # who comes later is told as well, but does not test anything
            assert service.post("/api/v1/lisas/x", b"2").status == 204
            assert {each.result().body for each in waiting} == {b"2"}


def test_a_fresh_data_directory_is_made_by_one_of_many_workers(tmp_path: Path) -> None:
    with running(tmp_path, "--workers=8") as service:
        assert service.post("/api/v1/lisas/x", b"1").status == 204
        assert "WARNING" not in service.errors()


def test_one_admin_address_answers_for_all_workers_until_the_last_has_stopped(
    tmp_path: Path,
) -> None:
    flags = ["--workers=2", "--admin-socket=admin", "--drain-delay=60"]
    with Workers(tmp_path, *flags) as service:
        admin = Administration(tmp_path / "admin")
        asked = {number: each["pid"] for number, each in admin.json("/info")["workers"].items()}
        assert asked.keys() == {"0", "1"}
        assert set(asked.values()) < set(service.workers)
        (front,) = set(service.workers) - set(asked.values())
        os.kill(front, signal.SIGKILL)
        wait_for(lambda: {front} | set(asked.values()) != set(service.workers))
        assert admin.json("/readyz")["status"] == "ready"
        service.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: admin.json("/info")["workers"]["0"]["pid"] != asked["0"])
        assert admin.json("/readyz")["workers"]["1"]["status"] == "ready"
        service.process.send_signal(signal.SIGTERM)
        wait_for(lambda: admin.get("/readyz").status == 503)
        assert admin.get("/livez").status == 200
        assert service.get("/api/v1/flanders").headers["connection"] == "close"
        assert service.stop(signal.SIGTERM) == 128 + signal.SIGTERM


def test_no_probe_fails_while_all_are_replaced(tmp_path: Path) -> None:
    with running(tmp_path, "--workers=2", "--admin-socket=admin") as service:
        admin = Administration(tmp_path / "admin")
        for _ in range(3):
            before = set(children_of(service.process.pid))
            service.process.send_signal(signal.SIGUSR2)
            while before & set(children_of(service.process.pid)):
                for path in ("/livez", "/readyz", "/metrics"):
                    assert admin.get(path).status == 200


def test_a_probe_in_flight_is_answered_while_the_front_is_replaced(tmp_path: Path) -> None:
    with Workers(tmp_path, "--workers=2", "--admin-socket=admin") as service:
        admin = Administration(tmp_path / "admin")
        pids = [each["pid"] for each in admin.json("/info")["workers"].values()]
        (front,) = set(service.workers) - set(pids)
        os.kill(pids[0], signal.SIGSTOP)
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(admin.get, "/metrics")  # takes as long as a worker may
            time.sleep(0.5)
            os.kill(front, signal.SIGTERM)
            assert asked.result().status == 200
        os.kill(pids[0], signal.SIGCONT)
        assert service.stop() == 0


def test_a_stopped_worker_is_told_of_while_probes_and_scrapes_hear_of_the_other(
    tmp_path: Path,
) -> None:
    with Workers(tmp_path, "--workers=2", "--admin-socket=admin") as service:
        admin = Administration(tmp_path / "admin")
        pid = admin.json("/info")["workers"]["1"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            assert admin.json("/readyz")["workers"]["0"]["status"] == "ready"
            told = admin.get("/metrics").body.decode()
        finally:
            os.kill(pid, signal.SIGCONT)
        assert 'springfield_worker_up{worker="0"} 1.0\n' in told
        assert 'springfield_worker_up{worker="1"} 0.0\n' in told
        assert 'springfield_uptime_seconds{worker="0"}' in told
        wait_for(lambda: admin.get("/livez").status == 200)
        assert service.stop() == 0


def test_the_admin_front_is_gone_with_its_workers(tmp_path: Path) -> None:
    with Workers(tmp_path, "--workers=2", "--admin-socket=admin") as service:
        assert Administration(tmp_path / "admin").get("/readyz").status == 200
        assert service.stop() == 0
        assert not (tmp_path / "admin").exists()
        assert "Traceback" not in service.errors()


def test_a_directory_that_somebody_removed_costs_the_admin_listener_alone(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    with Workers(tmp_path, "--workers=2", "--admin-socket=admin", TMPDIR="t") as service:
        admin = Administration(tmp_path / "admin")
        victim = worker_of(admin, "0")
        (directory,) = (tmp_path / "t").iterdir()
        shutil.rmtree(directory)
        problem = admin.get("/livez").problem
        assert (problem["status"], problem["code"]) == (503, "not-live")
        assert f"{directory.name} are gone; restart the service." in problem["detail"]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: "worker 0 is not seen at the admin address" in service.errors())
        wait_for(lambda: len(service.workers) == 3)
        for _ in range(20):
            assert service.get("/api/v1/flanders").status == 200
        assert service.stop() == 0
        assert "Traceback" not in service.errors()


def test_a_second_signal_leaves_no_files_behind(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    flags = ["--workers=2", "--admin-socket=admin", "--drain-delay=60"]
    with Workers(tmp_path, *flags, TMPDIR=f"{tmp_path}/t") as service:
        assert len(list((tmp_path / "t").iterdir())) == 1
        service.process.send_signal(signal.SIGTERM)
        wait_for(lambda: service.errors().count("draining for") == 2)
        assert service.stop(signal.SIGTERM) == 128 + signal.SIGTERM
        assert list((tmp_path / "t").iterdir()) == []
        assert not (tmp_path / "admin").exists()
        assert "Traceback" not in service.errors()


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; where nobody waits for its end, a zombie stays."""
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def descriptors_of(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())

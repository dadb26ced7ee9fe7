"""The admin listener of the real process: what it tells, what it switches, what it refuses."""

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from springfield import __version__
from tests.administration import Administration
from tests.process.test_lifecycle import is_listening
from tests.servers.redis import RedisServer
from tests.service import ServiceProcess, clean_environment, running, springfield, wait_for

PATHS = ["/livez", "/readyz", "/metrics", "/info", "/breakers", "/tasks", "/log-level", "/drain"]

SLEEPER = """
import sys, time
from springfield.cli import main
from springfield.web.handlers.flanders import FlandersHandler

def get(self):
    while not open("wake").read():
        time.sleep(0.01)
FlandersHandler.get = get
sys.exit(main())
"""


class Sleeper(ServiceProcess):
    """A service whose greeting blocks the event loop until the file `wake` is not empty."""

    PROGRAM = ("-c", SLEEPER)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Shared by the tests that change nothing, or change it back."""
    directory = tmp_path_factory.mktemp("service")
    password = {"SPRINGFIELD_MARGES_URL": "redis://:hunter2@127.0.0.1:1/0"}
    with running(directory, "--admin-port=0", "--admin-socket=admin.sock", **password) as service:
        yield service


@pytest.fixture
def admin(service: ServiceProcess) -> Administration:
    return Administration(service.directory / "admin.sock")


@pytest.fixture
def on_port(service: ServiceProcess) -> Administration:
    return Administration(admin_port_of(service))


def admin_port_of(service: ServiceProcess) -> int:
    pattern = r"admin listener is at http://127\.0\.0\.1:(\d+)"
    wait_for(lambda: re.search(pattern, service.errors()) is not None)
    found = re.search(pattern, service.errors())
    assert found is not None
    return int(found[1])


def test_it_is_never_on_the_public_port_and_serves_nothing_else(
    service: ServiceProcess, on_port: Administration
) -> None:
    for path in PATHS:
        assert service.get(path).problem["code"] == "no-such-route"
    assert on_port.get("/api/v1/flanders").problem["code"] == "no-such-route"


def test_there_is_none_unless_it_is_asked_for(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        assert "admin" not in service.errors()


def test_head_answers_like_get_and_other_methods_are_405(admin: Administration) -> None:
    for path in PATHS:
        head = admin.request("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        refused = admin.request("PATCH", path)
        assert refused.problem["code"] == "method-not-allowed"
        assert "GET, HEAD" in refused.headers["allow"]
    refused = admin.get("/reload")
    assert (refused.status, refused.headers["allow"]) == (405, "POST, OPTIONS")
    assert admin.get("/nowhere").problem["code"] == "no-such-route"
    assert admin.get("/problems/not-ready").status == 200


def test_another_host_and_foreign_pages_are_refused(
    admin: Administration, on_port: Administration
) -> None:
    for path in PATHS:
        answer = on_port.request("GET", path, Host="evil.example")
        assert answer.problem["code"] == "misdirected-request"
    for each in (admin, on_port):
        answer = each.request("POST", "/drain", Origin="http://evil.example")
        assert answer.problem["code"] == "foreign-origin"
    assert admin.json("/drain") == {"draining": False}


def test_a_foreign_page_is_refused_where_any_host_is_answered(tmp_path: Path) -> None:
    with running(tmp_path, "--admin-socket=a"):
        admin = Administration(tmp_path / "a")
        assert admin.request("GET", "/drain", Host="pod.example").status == 200
        refused = admin.request("POST", "/drain", Host="pod.example", Origin="http://evil.example")
        assert refused.problem["code"] == "foreign-origin"
        assert admin.json("/drain") == {"draining": False}


def test_info_says_what_runs_and_keeps_secrets(
    service: ServiceProcess, admin: Administration
) -> None:
    told = admin.json("/info")
    assert told["version"] == __version__
    assert told["pid"] == service.process.pid
    assert told["libraries"]["tornado"]
    assert told["uptime"] > 0
    assert {each["name"]: each["product"] for each in told["resources"]}["marges"] == "Redis"
    assert told["settings"]["admin_port"] == {
        "value": "0", "origin": "flag --admin-port", "reloadable": False
    }  # fmt: skip
    assert "hunter2" not in json.dumps(told)
    assert "***" in told["settings"]["marges_url"]["value"]


def test_metrics_are_in_prometheus_format(admin: Administration) -> None:
    answer = admin.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert b"# TYPE process_resident_memory_bytes gauge" in answer.body


def test_a_store_that_is_down_does_not_make_it_unready_unless_it_is_critical(
    service: ServiceProcess, admin: Administration
) -> None:
    assert service.get("/api/v1/healthcheck").status == 503
    assert admin.json("/readyz")["status"] == "ready"


def test_readiness_follows_a_critical_store(tmp_path: Path, own_redis_server: RedisServer) -> None:
    url = {"SPRINGFIELD_MARGES_URL": own_redis_server.url}
    with running(tmp_path, "--admin-socket=a", "--critical=marges, lisas", **url):
        admin = Administration(tmp_path / "a")
        ready = admin.json("/readyz")
        assert [each["name"] for each in ready["stores"]] == ["lisas", "marges"]
        own_redis_server.kill()
        wait_for(lambda: admin.get("/readyz").status == 503)
        problem = admin.get("/readyz").problem
        assert problem["code"] == "not-ready"
        assert len(problem["reasons"]) == 1
        assert problem["reasons"][0].startswith("marges (Redis) failed:")
        assert admin.get("/livez").status == 200
        own_redis_server.start()
        wait_for(lambda: admin.get("/readyz").status == 200)


def test_a_critical_resource_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    ended = springfield("settings", "--critical=doh", directory=tmp_path)
    assert ended.returncode == 2
    assert "critical: there is no resource 'doh'" in ended.stderr


@contextmanager
def blocked(directory: Path, *flags: str) -> Iterator[Administration]:
    """Run a service whose event loop is blocked; it goes on at the end."""
    wake = directory / "wake"
    wake.touch()
    service = Sleeper(directory, "--admin-socket=a", *flags)
    try:
        with ThreadPoolExecutor(1) as pool:
            greeting = pool.submit(service.get, "/api/v1/flanders")
            try:
                admin = Administration(directory / "a")
                wait_for(lambda: is_asleep(admin))
                yield admin
            finally:
                wake.write_text("up")
            assert greeting.result().status == 200
        wait_for(lambda: admin.get("/livez").status == 200)
    finally:
        assert service.stop() == 0, service.errors()


def is_asleep(admin: Administration) -> bool:
    threads = {each["name"]: each["stack"] for each in admin.json("/tasks")["threads"]}
    return is_culprit_in(threads["MainThread"])


def is_culprit_in(stack: list[str]) -> bool:
    return any(place.startswith("get (<string>:") for place in stack)


def test_a_blocked_loop_is_told_by_livez_with_the_stack_of_the_culprit(tmp_path: Path) -> None:
    with blocked(tmp_path, "--liveness-timeout=0.3") as admin:
        wait_for(lambda: admin.get("/livez").status == 503)
        problem = admin.get("/livez").problem
        assert problem["code"] == "not-live"
        assert problem["seconds_since_turn"] >= 0.3
        assert problem["since"].startswith("20")
        assert is_culprit_in(problem["stack"])
        assert admin.get("/readyz").problem["code"] == "not-ready"
        assert admin.get("/metrics").status == admin.get("/info").status == 200
        ended = springfield("check", "--url=unix:a", directory=tmp_path)
        assert ended.returncode == 2  # a relative path is none
        ended = springfield("check", f"--url=unix:{tmp_path}/a", directory=tmp_path)
        assert ended.returncode == 1
        assert re.search(r"live +NO: The event loop has not turned for", ended.stdout)


def test_what_a_blocked_loop_was_asked_in_vain_is_never_done(tmp_path: Path) -> None:
    with blocked(tmp_path) as admin:
        assert admin.request("POST", "/drain").problem["code"] == "not-live"
        assert admin.get("/livez").status == 200  # it has ten seconds
        (tmp_path / "wake").write_text("up")
        wait_for(lambda: not is_asleep(admin))
        assert admin.json("/drain") == {"draining": False}


def test_the_dump_names_a_waiting_handler_once_with_its_number(
    service: ServiceProcess, admin: Administration
) -> None:
    tag = service.post("/api/v1/lisas/waited", b"1").headers["etag"]
    headers = {"If_None_Match": tag, "Prefer": "wait=60"}
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(service.get, "/api/v1/lisas/waited", **headers) for _ in range(3)]

        def stacks() -> list[list[object]]:
            return [
                [each["count"], *each["stack"]]
                for each in admin.json("/tasks")["tasks"]["stacks"]
                if any(place.startswith("ItemHandler._get (") for place in each["stack"])
            ]

        wait_for(lambda: [each[0] for each in stacks()] == [3])
        assert str(stacks()[0][1]).startswith("_answered (")
        service.post("/api/v1/lisas/waited", b"2")
        assert {each.result().status for each in waiting} == {200}


def test_the_drain_switch_fails_readiness_and_ends_connections_until_it_is_thrown_back(
    service: ServiceProcess, admin: Administration
) -> None:
    assert admin.json("/drain", "POST") == {"draining": True}
    assert admin.get("/readyz").problem["detail"] == "The service is draining."
    answer = service.get("/api/v1/flanders")
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert admin.get("/livez").status == 200
    assert admin.json("/drain", "DELETE") == {"draining": False}
    assert admin.get("/readyz").status == 200
    assert "connection" not in service.get("/api/v1/flanders").headers


def test_it_answers_while_stores_are_connected_to(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "springfield", "serve", "--port=0", "--store-timeout=60",
             "--admin-socket=a", f"--marges-url=redis://127.0.0.1:{port}"],
            cwd=tmp_path, env=clean_environment({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        silent.settimeout(20)
        with silent.accept()[0]:
            admin = Administration(tmp_path / "a")
            assert admin.get("/livez").status == 200
            assert admin.get("/readyz").problem["detail"] == "The service is starting."
            for method, path in (("POST", "/drain"), ("POST", "/reload")):
                assert admin.request(method, path).problem["code"] == "not-ready"
            process.terminate()
            _, err = process.communicate(timeout=10)
    assert (process.returncode, b"Traceback" in err) == (0, False)


def test_it_answers_until_the_last_request_is_finished(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path, "--admin-socket=a")
    admin = Administration(tmp_path / "a")
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(
            b"POST /api/v1/lisas/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\ns"
        )
        wait_for(lambda: admin.json("/info")["requests_in_flight"] == 1)
        service.process.terminate()
        wait_for(lambda: not is_listening(service.port))
        assert admin.get("/livez").status == 200
        assert admin.get("/readyz").problem["detail"] == "The service is stopping."
        refused = admin.request("DELETE", "/drain")
        assert (refused.status, refused.problem["code"]) == (409, "stopping")
        client.sendall(b"ax")
        assert client.recv(65536).startswith(b"HTTP/1.1 204 ")
    assert service.stop(None) == 0
    assert "Traceback" not in service.errors()
    assert not (tmp_path / "a").exists()


def test_the_log_level_is_changed_at_run_time(
    service: ServiceProcess, admin: Administration
) -> None:
    refused = admin.request("PUT", "/log-level", b"loud")
    assert (refused.status, refused.problem["code"]) == (400, "invalid-content")
    assert admin.json("/log-level") == {"log_level": "info"}
    assert admin.json("/log-level", "PUT", b"error\n") == {"log_level": "error"}
    service.get("/api/v1/lisas/unlogged")
    assert admin.json("/log-level", "PUT", b"info") == {"log_level": "info"}
    service.get("/api/v1/lisas/logged")
    wait_for(lambda: "/lisas/logged" in service.errors())
    assert "unlogged" not in service.errors()


def test_check_asks_a_running_service(service: ServiceProcess, admin: Administration) -> None:
    directory = service.directory
    for url in (f"unix:{admin.place}", f"http://localhost:{admin_port_of(service)}"):
        ended = springfield("check", "--url", url, directory=directory)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert re.fullmatch(r"live +yes\nready +yes\n(breaker \w+ +closed\n){5}", ended.stdout)
    admin.json("/drain", "POST")
    ended = springfield("check", "--url", f"unix:{admin.place}", directory=directory)
    admin.json("/drain", "DELETE")
    assert ended.returncode == 1
    assert re.fullmatch(
        r"live +yes\nready +NO: The service is draining.\n(breaker \w+ +closed\n){5}", ended.stdout
    )


def test_check_says_in_one_sentence_that_nobody_answers(
    tmp_path: Path, service: ServiceProcess
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for url, sentence in (
        (f"http://127.0.0.1:{port}", f"Nobody listens at http://127.0.0.1:{port}."),
        (f"unix:{tmp_path}/none", f"Nobody listens at unix:{tmp_path}/none."),
        (f"http://127.0.0.1:{service.port}", "is no admin listener."),
    ):
        ended = springfield("check", "--url", url, directory=tmp_path)
        assert ended.returncode == 1
        assert sentence in ended.stdout
        assert ended.stdout.count("\n") == 1
        assert ended.stderr == ""
    ended = springfield("check", "--url=localhost:1", directory=tmp_path)
    assert ended.returncode == 2
    assert "use http://host:port or unix:/path" in ended.stderr


def test_a_taken_admin_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = springfield(
            "serve", "--port=0", f"--admin-port={port}", directory=tmp_path, PYTHONWARNINGS="ignore"
        )
    assert ended.returncode == 1
    assert "--admin-port" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_many_who_ask_at_once_are_all_answered(admin: Administration) -> None:
    statuses: list[int] = []
    askers = [
        threading.Thread(target=lambda path=path: statuses.append(admin.get(path).status))
        for path in PATHS * 10
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert statuses == [200] * len(askers)

"""Reloading the settings of the real process: all that is good, or nothing."""

import contextlib
import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.administration import Administration
from tests.server.test_tls import name_of, write_certificate
from tests.service import ServiceProcess, clean_environment, running, wait_for

IN_TERMINAL = """
import fcntl, runpy, signal, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, which is inherited
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_module("springfield", run_name="__main__")
"""

ITEM = "/api/v1/lisas/sized"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "springfield.toml"
    file.write_text("item_limit = 8\n")
    return file


@pytest.fixture
def service(tmp_path: Path, file: Path) -> Iterator[ServiceProcess]:
    with running(tmp_path, f"--config={file}", "--admin-socket=a", "--pool-size=3") as service:
        yield service


@pytest.fixture
def admin(service: ServiceProcess) -> Administration:
    return Administration(service.directory / "a")


def test_a_limit_changes_while_requests_are_served(
    service: ServiceProcess, admin: Administration, file: Path
) -> None:
    assert service.post(ITEM, b"9 letters").status == 413
    assert admin.json("/reload", "POST") == {"changed": [], "needs_restart": []}
    file.write_text("item_limit = 9\nobject_limit = 2\nlog_level = 'warning'\nwait_limit = 0")
    told = admin.json("/reload", "POST")
    assert told["needs_restart"] == []
    assert sorted(told["changed"]) == ["item_limit", "log_level", "object_limit", "wait_limit"]
    assert service.post(ITEM, b"9 letters").status == 204
    assert service.post(ITEM, b"10 letters").status == 413
    assert service.post("/api/v1/bart", b"doh").status == 413
    assert admin.json("/log-level") == {"log_level": "warning"}
    setting = admin.json("/info")["settings"]["item_limit"]
    assert setting == {"value": "9B", "origin": f"file {file}", "reloadable": True}
    tag = service.get(ITEM).headers["etag"]
    waited = service.get(ITEM, If_None_Match=tag, Prefer="wait=60")
    assert (waited.status, waited.headers.get("preference-applied")) == (304, None)


def test_policies_change_while_requests_are_served(tmp_path: Path, file: Path) -> None:
    nowhere = "--marges-url=redis://127.0.0.1:1/0"
    with running(tmp_path, f"--config={file}", "--admin-socket=a", nowhere) as service:
        admin = Administration(tmp_path / "a")
        file.write_text(
            "attempts = 1\nslow_request = 0.000001\n[policies.marges]\n"
            "breaker_failures = 1\nbreaker_cooldown = 600\n"
        )
        changed = admin.json("/reload", "POST")["changed"]
        assert sorted(changed) == ["attempts", "item_limit", "policies", "slow_request"]
        wait_for(lambda: service.get("/api/v1/marges/x").headers["retry-after"] > "500")
        states = {each["dependency"]: each["state"] for each in admin.json("/breakers")["breakers"]}
        assert (states["marges"], states["lisas"]) == ("open", "closed")
        assert service.get("/api/v1/flanders").status == 200
        slow = (
            '"level": "warning", "event": "request", "method": "GET", "route": "/api/v1/flanders"'
        )
        wait_for(lambda: slow in service.errors())


def test_what_is_taken_out_of_the_file_has_its_default_again(
    service: ServiceProcess, admin: Administration, file: Path
) -> None:
    file.write_text("")
    assert admin.json("/reload", "POST")["changed"] == ["item_limit"]
    assert service.post(ITEM, b"9 letters").status == 204


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        ("item_limit = 9\nwait_limit = -1\nhomer = 1", "wait_limit = -1"),
        ("item_limit = 9\n[", "is not TOML"),
        (None, "is not there"),
    ],
)
def test_a_bad_file_keeps_all_old_settings_and_says_why(
    service: ServiceProcess, admin: Administration, file: Path, content: str | None, mistake: str
) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    problem = admin.request("POST", "/reload").problem
    assert (problem["status"], problem["code"]) == (422, "invalid-settings")
    assert mistake in problem["mistakes"][0]
    assert len(problem["mistakes"]) == (2 if content and "homer" in content else 1)
    wait_for(lambda: mistake in service.errors())
    assert service.post(ITEM, b"9 letters").status == 413


def test_a_setting_that_needs_a_restart_is_named_again_and_again(
    service: ServiceProcess, admin: Administration, file: Path
) -> None:
    file.write_text("item_limit = 9\nread_only = true\npool_size = 4")  # a flag wins over the last
    assert admin.json("/reload", "POST") == {
        "changed": ["item_limit"], "needs_restart": ["read_only"]
    }  # fmt: skip
    assert service.post(ITEM, b"9 letters").status == 204
    told = admin.json("/reload", "POST")
    assert told == {"changed": [], "needs_restart": ["read_only"]}
    assert admin.json("/info")["settings"]["read_only"]["value"] == "false"


def test_sighup_reloads_without_a_terminal(service: ServiceProcess, file: Path) -> None:
    file.write_text("wait_limit = -1")
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "not reloaded, the old settings are kept" in service.errors())
    file.write_text("item_limit = 9")
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded: changed item_limit" in service.errors())
    assert service.post(ITEM, b"9 letters").status == 204


def test_a_terminal_that_hangs_up_stops_it_after_the_requests_in_flight(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, "serve", "--port=0", "--admin-socket=a"],
        cwd=tmp_path, env=clean_environment({}), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        stdin=follower, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    admin = Administration(tmp_path / "a")
    with process, contextlib.ExitStack() as stack:
        stack.callback(process.kill)
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(b":")[2])
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        head = b"POST /api/v1/lisas/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"
        client.sendall(head + b"s")
        wait_for(lambda: admin.json("/info")["requests_in_flight"] == 1)
        os.close(leader)
        wait_for(lambda: b"is stopping" in admin.get("/readyz").body)
        client.sendall(b"ax")
        assert client.recv(65536).startswith(b"HTTP/1.1 204 ")
        assert process.wait(timeout=20) == 0


def test_the_certificate_is_read_anew_and_a_bad_one_keeps_everything(
    tmp_path: Path, file: Path
) -> None:
    chain, key = write_certificate(tmp_path, "first")
    flags = [f"--tls-certificate={chain}", f"--tls-key={key}", f"--config={file}"]
    service = ServiceProcess(tmp_path, *flags, "--admin-socket=a")
    try:
        admin = Administration(tmp_path / "a")
        assert certificate_name(service.port) == "first"
        assert admin.json("/reload", "POST")["changed"] == []
        good = key.read_bytes()
        write_certificate(tmp_path, "second")
        second = key.read_bytes()
        key.write_bytes(good)
        file.write_text("item_limit = 9")
        problem = admin.request("POST", "/reload").problem
        assert (problem["code"], str(chain) in problem["detail"]) == ("invalid-settings", True)
        assert admin.json("/info")["settings"]["item_limit"]["value"] == "8B"
        assert certificate_name(service.port) == "first"
        key.write_bytes(second)
        told = admin.json("/reload", "POST")
        assert told == {"changed": ["item_limit", "tls_certificate"], "needs_restart": []}
        assert certificate_name(service.port) == "second"
    finally:
        assert service.stop() == 0


def certificate_name(port: int) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain) as sock,
    ):
        return name_of(sock)

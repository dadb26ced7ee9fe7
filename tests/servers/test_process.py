"""In charge of showing what a server's life cycle promises, with a plain Redis."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import redis

from tests.servers.missing import ServerMissing, report_missing
from tests.servers.process import ServerFailed, ServerProcess, free_port
from tests.servers.programs import CHECKOUT
from tests.servers.redis import RedisServer


def test_a_paused_server_is_silent_until_it_is_resumed(own_redis_server: RedisServer) -> None:
    with redis.Redis.from_url(own_redis_server.url, socket_timeout=0.2, retry=None) as client:
        own_redis_server.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        own_redis_server.resume()
        assert client.ping()


def test_a_paused_server_can_be_stopped(own_redis_server: RedisServer) -> None:
    own_redis_server.pause()
    own_redis_server.stop()
    assert not own_redis_server.process.is_running


def test_a_server_from_outside_is_used_and_left_alone(
    own_redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RedisServer.variable, own_redis_server.url)
    with RedisServer.shared(tmp_path) as named:
        assert named.port == own_redis_server.port
        with pytest.raises(ServerFailed, match="use the own_ form"):
            named.kill()
    assert own_redis_server.is_ready()


def test_a_server_that_ends_while_it_starts_shows_its_log(tmp_path: Path) -> None:
    process = ServerProcess([RedisServer.find(), "--port", "no-number"], tmp_path)
    process.start()
    with pytest.raises(ServerFailed, match="no-number"):
        process.wait_until_ready(lambda: False, deadline=20)


def test_a_server_that_never_answers_fails_at_the_deadline(tmp_path: Path) -> None:
    process = ServerProcess(["/bin/sleep", "60"], tmp_path)
    process.start()
    with pytest.raises(ServerFailed, match=r"not ready within 0\.1 s"):
        process.wait_until_ready(lambda: False, deadline=0.1)
    process.kill()


def test_free_ports_are_never_given_twice() -> None:
    assert len({free_port() for _ in range(50)}) == 50


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is of Linux")
def test_a_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = f"""
        from pathlib import Path
        from tests.servers.redis import RedisServer
        server = RedisServer.own(Path({str(tmp_path)!r}))
        server.start()
        print(server.process.pid, flush=True)
        input()
    """
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=pipe, stdout=pipe) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_missing_server_skips_its_tests_on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="SERVER MISSING"):
        report_missing(ServerMissing("No duff: brew it."))


def test_a_missing_server_fails_its_tests_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="brew it"):
        report_missing(ServerMissing("No duff: brew it."))

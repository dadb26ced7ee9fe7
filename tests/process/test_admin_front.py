"""One admin address for two workers, which are two processes that the test has started."""

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.administration import Administration
from tests.service import ServiceProcess, clean_environment, springfield, wait_for

FRONT = """
import socket, sys
from pathlib import Path
from springfield.server.admin_front import Fleet, run_front

with socket.create_server(("127.0.0.1", 0)) as sock:
    sock.setblocking(False)
    port = sock.getsockname()[1]
    fleet = Fleet(Path(sys.argv[1]), 2, 1.0)
    run_front([sock], fleet, lambda: print(port, flush=True))
"""


@dataclass
class Group:
    directory: Path
    workers: list[ServiceProcess]
    front: Administration

    def configure(self, number: int, content: str) -> None:
        (self.directory / f"{number}" / "springfield.toml").write_text(content)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Group]:
    with contextlib.ExitStack() as stack:
        workers = []
        for number in range(2):
            directory = tmp_path / f"{number}"
            directory.mkdir()
            (directory / "springfield.toml").touch()
            socket = f"--admin-socket={tmp_path}/worker-{number}.sock"
            worker = ServiceProcess(
                directory, socket, "--config=springfield.toml", f"--pool-size={number + 1}"
            )
            workers.append(worker)
            stack.callback(worker.stop)
        process = subprocess.Popen(
            [sys.executable, "-c", FRONT, str(tmp_path)],
            env=clean_environment({}), stdout=subprocess.PIPE,
        )  # fmt: skip
        stack.enter_context(process)
        stack.callback(process.terminate)
        assert process.stdout is not None
        yield Group(tmp_path, workers, Administration(int(process.stdout.readline())))
    assert process.returncode == 0


def test_reports_hold_every_worker_by_its_number(fleet: Group) -> None:
    for path in ("/livez", "/readyz", "/info", "/breakers", "/tasks", "/log-level", "/drain"):
        assert list(fleet.front.json(path)["workers"]) == ["0", "1"]
        assert fleet.front.request("HEAD", path).status == 200
        assert fleet.front.request("PATCH", path).problem["code"] == "method-not-allowed"
    told = fleet.front.json("/info")["workers"]
    for number, worker in enumerate(fleet.workers):
        assert told[str(number)]["pid"] == worker.process.pid
        assert told[str(number)]["settings"]["pool_size"]["value"] == str(number + 1)
    assert fleet.front.get("/reload").headers["allow"] == "POST, OPTIONS"
    assert fleet.front.request("GET", "/livez", Host="evil.example").status == 421
    foreign = fleet.front.request("POST", "/drain", Origin="http://evil.example")
    assert foreign.problem["code"] == "foreign-origin"
    ended = springfield(
        "check", f"--url=http://127.0.0.1:{fleet.front.place}", directory=fleet.directory
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.match(r"live +yes\nready +yes\n", ended.stdout)
    assert re.search(r"^worker 1 breaker marges +closed$", ended.stdout, re.MULTILINE)


def test_metrics_are_labelled_by_worker_with_one_head_for_each_family(fleet: Group) -> None:
    text = fleet.front.get("/metrics").body.decode()
    heads = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(heads) == len(set(heads))
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    by_worker = [{s.name for s in samples if s.labels["worker"] == number} for number in ("0", "1")]
    assert by_worker[0] == by_worker[1]
    assert {"process_resident_memory_bytes", "springfield_build_info"} <= by_worker[0]
    own = Administration(fleet.directory / "worker-1.sock").get("/metrics").body.decode()
    names = {s.name for family in text_string_to_metric_families(own) for s in family.samples}
    assert by_worker[1] == names | {"springfield_worker_up"}


def test_a_worker_that_is_gone_is_left_out_and_none_at_all_is_not_live(fleet: Group) -> None:
    fleet.workers[1].process.kill()
    wait_for(lambda: list(fleet.front.json("/livez")["workers"]) == ["0"])
    assert list(fleet.front.json("/readyz")["workers"]) == ["0"]
    assert who_is_up(fleet) == {"0": 1, "1": 0}
    fleet.workers[0].process.terminate()
    wait_for(lambda: fleet.front.get("/livez").status == 503)
    for path in ("/livez", "/readyz", "/metrics", "/info"):
        assert fleet.front.get(path).problem["detail"] == "No worker runs."


def test_a_worker_that_hangs_is_not_live_but_the_other_is_ready(fleet: Group) -> None:
    with hanging(fleet):
        problem = fleet.front.get("/livez").problem
        assert problem["code"] == "not-live"
        assert re.match(r"Worker 1: .* did not answer within 1\.5 s\.", problem["detail"])
        assert problem["workers"]["0"]["status"] == "live"
        told = fleet.front.json("/readyz")
        assert (told["status"], told["workers"]["0"]["status"]) == ("ready", "ready")
        assert told["workers"]["1"] == {"detail": "It has not answered yet."}
    wait_for(lambda: fleet.front.get("/livez").status == 200)


def test_of_a_worker_that_hangs_is_told_that_it_does_and_the_others_are_heard(
    fleet: Group,
) -> None:
    with hanging(fleet):
        for path in ("/info", "/breakers", "/tasks", "/log-level", "/drain"):
            told = fleet.front.json(path)["workers"]
            assert "did not answer" in told["1"]["detail"]
            assert "detail" not in told["0"]
        assert who_is_up(fleet) == {"0": 1, "1": 0}
        problem = fleet.front.request("PUT", "/log-level", b"error").problem
        assert (problem["status"], problem["code"]) == (502, "workers-failed")
        assert re.match(r"Worker 1: .* did not answer", problem["detail"])
        assert problem["workers"]["0"] == {"log_level": "error"}
        ended = springfield(
            "check", f"--url=http://127.0.0.1:{fleet.front.place}", directory=fleet.directory
        )
    assert (ended.returncode, ended.stderr) == (1, "")
    assert re.match(r"live +NO: Worker 1: .* did not answer .*\nready +yes\n", ended.stdout)
    assert re.search(r"^worker 1 +NO: .* did not answer", ended.stdout, re.MULTILINE)
    assert re.search(r"^worker 0 breaker marges +closed$", ended.stdout, re.MULTILINE)


@contextlib.contextmanager
def hanging(fleet: Group) -> Iterator[None]:
    """Have worker 1 hang."""
    fleet.workers[1].process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        fleet.workers[1].process.send_signal(signal.SIGCONT)


def who_is_up(fleet: Group) -> dict[str, float]:
    text = fleet.front.get("/metrics").body.decode()
    return {
        sample.labels["worker"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "springfield_worker_up"
    }


def test_it_is_ready_as_long_as_one_worker_is(fleet: Group) -> None:
    one = Administration(fleet.directory / "worker-1.sock")
    one.json("/drain", "POST")
    told = fleet.front.json("/readyz")["workers"]
    assert (told["0"]["status"], told["1"]["detail"]) == ("ready", "The service is draining.")
    assert fleet.front.json("/drain", "POST")["workers"] == {
        "0": {"draining": True}, "1": {"draining": True}
    }  # fmt: skip
    problem = fleet.front.get("/readyz").problem
    assert (problem["code"], sorted(problem["workers"])) == ("not-ready", ["0", "1"])
    fleet.front.json("/drain", "DELETE")
    assert fleet.front.get("/readyz").status == 200
    assert one.json("/drain") == {"draining": False}


def test_a_change_reaches_all_workers_or_says_which_it_did_not(fleet: Group) -> None:
    told = fleet.front.json("/log-level", "PUT", b"error")["workers"]
    assert told == {"0": {"log_level": "error"}, "1": {"log_level": "error"}}
    bad = fleet.front.request("PUT", "/log-level", b"loud")
    assert (bad.status, bad.problem["code"]) == (400, "invalid-content")
    for number in (0, 1):
        fleet.configure(number, "item_limit = 9")
    told = fleet.front.json("/reload", "POST")["workers"]
    assert told["0"] == told["1"] == {"changed": ["item_limit"], "needs_restart": []}
    fleet.configure(1, "item_limit = -1")
    problem = fleet.front.request("POST", "/reload").problem
    assert (problem["status"], problem["code"]) == (502, "workers-failed")
    assert problem["detail"].startswith("Worker 1: The old settings are kept")
    assert problem["workers"]["0"] == {"changed": [], "needs_restart": []}
    fleet.configure(0, "item_limit = -1")
    problem = fleet.front.request("POST", "/reload").problem
    assert (problem["status"], problem["code"]) == (422, "invalid-settings")

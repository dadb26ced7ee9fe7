"""The metrics of the real process, as Prometheus would ask for them."""

import json
import threading
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.administration import Administration
from tests.process.test_admin import Sleeper
from tests.service import running, wait_for


def numbers(admin: Administration) -> dict[str, float]:
    """The value of each sample without labels, and the sum of those with."""
    answer = admin.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_a_scrape_counts_what_the_public_port_answered(tmp_path: Path) -> None:
    with running(tmp_path, "--admin-socket=admin.sock") as service:
        admin = Administration(tmp_path / "admin.sock")
        for _ in range(10):
            service.get("/api/v1/lisas/nobody")
        found = numbers(admin)
        assert found["springfield_http_requests_total"] == 10
        assert found["springfield_http_request_duration_seconds_count"] == 10
        assert found["springfield_requests_in_flight"] == 0
        assert found["process_open_fds"] > 0
        wait_for(lambda: numbers(admin)["springfield_event_loop_lag_seconds_count"] > 0)
        with service.streaming("/api/v1/flanders"):
            assert numbers(admin)["springfield_connections"] == 1
        wait_for(lambda: numbers(admin)["springfield_connections"] == 0)


def test_a_blocked_loop_is_told_while_it_is_blocked(tmp_path: Path) -> None:
    (tmp_path / "wake").touch()
    service = Sleeper(tmp_path, "--admin-socket=admin.sock")
    admin = Administration(tmp_path / "admin.sock")
    greeting = threading.Thread(target=service.get, args=("/api/v1/flanders",))
    greeting.start()
    try:
        wait_for(lambda: numbers(admin)["springfield_event_loop_blocked_total"] == 1)
        assert numbers(admin)["springfield_event_loop_age_seconds"] > 0.25
        wait_for(lambda: "the event loop is blocked" in service.errors())
    finally:
        (tmp_path / "wake").write_text("now")
        greeting.join()
    wait_for(lambda: "the event loop turns again" in service.errors())
    assert service.stop() == 0
    told = "the event loop is blocked"
    (blocked,) = [json.loads(line) for line in service.errors().splitlines() if told in line]
    assert "time.sleep(0.01)" in blocked["stack"] or "in get" in blocked["stack"]

"""Five times the load that the process can carry: it carries on."""

import re
from pathlib import Path
from statistics import median

from tests.load import Load, ended_load, start_load
from tests.service import ServiceProcess, running

CAPACITY = 64
"""Clients that keep one process busy, each with one request at a time."""


def test_at_five_times_the_capacity_it_answers_as_much_as_before(tmp_path: Path) -> None:
    flags = ("--log-level=error", f"--max-requests={CAPACITY}")
    with running(tmp_path, *flags) as service:
        service.post("/api/v1/lisas/read", b"x" * 100)
        loaded(service, CAPACITY)  # warm
        before = resident(service)
        at_capacity, at_five_times = [], []
        for _ in range(4):  # alternating: what else the machine does hits both alike
            at_capacity.append(loaded(service, CAPACITY).goodput)
            load = loaded(service, 5 * CAPACITY)
            at_five_times.append(load.goodput)
            assert set(load.statuses) == {200, 503}
        assert median(at_five_times) > 0.9 * median(at_capacity)
        assert resident(service) - before < 64 * 1024


def loaded(service: ServiceProcess, clients: int) -> Load:
    return ended_load(start_load(service, "/api/v1/lisas/read", clients, 2))


def resident(service: ServiceProcess) -> int:
    """KiB."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])

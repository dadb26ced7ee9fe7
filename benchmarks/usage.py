"""In charge of what processes use, from Linux' /proc: processor time and resident memory.

A process counts with all of its descendants, so that a server cannot hide work in its workers.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12  # fields of /proc/PID/stat behind the command's name, proc(5)


def family(pid: int) -> Iterator[int]:
    """Give the process and its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from family(int(child))


def processor_seconds(pids: Iterable[int]) -> float:
    """Return user and system time of all threads of the processes, to 10 ms each."""
    return sum((int(fields[_USER]) + int(fields[_SYSTEM])) / _TICK for fields in map(_stat, pids))


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of the processes together; what they share counts for each."""
    return sum(_resident(pid) for pid in pids)


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def _resident(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0

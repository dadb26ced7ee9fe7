"""In charge of how many cores this process may use: what `auto` means for a number of processes."""

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""What a container may use (cgroup v2): "150000 100000" are one and a half cores, "max" is all."""


def available_cores(quota_file: Path = _QUOTA) -> int:
    """Return the number of cores that this process may run on, by affinity and by quota; at least 1."""
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no such file, or "max"
        quota, period = quota_file.read_text().split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def count_if_auto(value: Any) -> Any:
    """Replace "auto" by the number of cores; anything else is left for the next validator."""
    return available_cores() if value == "auto" else value

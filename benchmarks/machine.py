"""In charge of what a figure is worth nothing without: the machine, and the version of everything."""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.contenders import PEERS_PYTHON, ROOT

_DRIVERS = ("redis", "hiredis", "pymongo", "asyncmy", "boto3", "obstore")
_OURS = ("springfield", "tornado", "httptools", "uvloop", "apsw", *_DRIVERS)
_THEIRS = (
    *("tornado", "fastapi", "starlette", "uvicorn", "aiohttp", "blacksheep", "granian"),
    *("httptools", "uvloop", "aiosqlite", "aiobotocore", *_DRIVERS),
)
_ASK = """
import importlib.metadata as m, json, sys
def of(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return None
print(json.dumps({name: of(name) for name in sys.argv[1:]}))
"""


def describe() -> dict[str, str]:
    """Return what the figures depend on, for people."""
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {_distribution()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "commit": _commit(),
        "load before the run": f"{os.getloadavg()[0]:.2f}",
        "Springfield's": _listed(_ours(_OURS)),
        "peers'": _listed(_theirs(_THEIRS)),
    }


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown distribution"


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def _ours(names: Iterable[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _theirs(names: Iterable[str]) -> dict[str, str | None]:
    if not PEERS_PYTHON.exists():
        return {}
    done = subprocess.run(
        [PEERS_PYTHON, "-c", _ASK, *names], capture_output=True, text=True, check=True
    )
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


def _listed(versions: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items() if number) or "none"


if sys.platform != "linux":
    raise SystemExit("The benchmark reads Linux' /proc: run it on Linux.")

"""In charge of who is measured: how each service is started, in one process, on the same stores.

Every contender gets the same addresses and the same number of connections to each store, writes no
access log, and runs on the fastest event loop that its documentation names.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.works import WORKS, StoreName
from tests.servers.process import ServerProcess, free_port
from tests.servers.programs import find_program

ROOT = Path(__file__).parents[1]
PEERS_PYTHON = Path(os.environ.get("BENCH_PYTHON", ROOT / ".venv/peers/bin/python"))
"""The interpreter of the virtual environment that the peers live in."""
POOL = 16
"""Connections that each contender may have to each store."""
_READY_DEADLINE = 30.0

S3Client = Literal["aiobotocore", "obstore", "boto3"]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the stores are, as every contender is told."""

    redis: str = ""
    mongodb: str = ""
    mysql: str = ""
    s3: Mapping[str, str] = field(default_factory=dict)
    """boto3's variables, and BENCH_BUCKET."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A service that is measured."""

    key: str
    title: str
    command: tuple[str, ...]
    """What runs it; `{port}` is replaced."""
    is_ours: bool = False
    s3_client: S3Client = "aiobotocore"
    only: frozenset[StoreName] = frozenset({"none", "redis", "mongodb", "mysql", "embedded", "s3"})
    """The stores that it is measured on."""

    def takes(self, work: str) -> bool:
        """Whether it takes part in the work."""
        return WORKS[work].store in self.only


_UVICORN = ("-m", "uvicorn", "--port", "{port}", "--no-access-log", "--log-level", "warning")
# Granian serves no more connections at once than its back pressure, 1,024 unless it is told.
_GRANIAN = (
    *("-m", "granian", "--backlog", "16384", "--backpressure", "16384"),
    *("--interface", "asgi", "--port", "{port}", "--workers", "1"),
    *("--runtime-threads", "1", "--loop", "uvloop", "--no-access-log", "--log-level", "warning"),
)
_STARLETTE = (*_UVICORN, "benchmarks.peers.starlette_app:app")
_BLACKSHEEP = (*_GRANIAN, "benchmarks.peers.blacksheep_app:app")
_SPRINGFIELD = ("-m", "springfield", "serve", "--port={port}", "--log-level=warning")
_S3_ONLY: frozenset[StoreName] = frozenset({"s3"})

CONTENDERS = {
    contender.key: contender
    for contender in (
        Contender("springfield", "Springfield", _SPRINGFIELD, is_ours=True),
        Contender(
            "springfield-tornado",
            "Springfield on Tornado's engine",
            (*_SPRINGFIELD, "--engine=tornado"),
            is_ours=True,
        ),
        Contender(
            "springfield-2",
            "Springfield, 2 workers",
            (*_SPRINGFIELD, "--workers=2"),
            is_ours=True,
        ),
        Contender(
            "tornado",
            "stock Tornado",
            ("-m", "benchmarks.peers.stock_tornado", "{port}"),
            s3_client="boto3",
        ),
        Contender("fastapi", "FastAPI on uvicorn", (*_UVICORN, "benchmarks.peers.fastapi_app:app")),
        Contender("starlette", "Starlette on uvicorn", _STARLETTE),
        Contender("aiohttp", "aiohttp", ("-m", "benchmarks.peers.aiohttp_app", "{port}")),
        Contender("blacksheep", "BlackSheep on Granian", _BLACKSHEEP),
        Contender(
            "starlette-obstore",
            "Starlette with obstore",
            _STARLETTE,
            s3_client="obstore",
            only=_S3_ONLY,
        ),
        Contender(
            "blacksheep-obstore",
            "BlackSheep with obstore",
            _BLACKSHEEP,
            s3_client="obstore",
            only=_S3_ONLY,
        ),
        Contender("webdis", "Webdis (C)", (), only=frozenset({"redis"})),
    )
}
PEERS = ("tornado", "fastapi", "starlette", "aiohttp", "blacksheep")
OBSTORE_PEERS = ("starlette-obstore", "blacksheep-obstore")


class Service:
    """A running contender. Knows its port and its process."""

    def __init__(self, contender: Contender, addresses: Addresses, directory: Path) -> None:
        """Prepare it; it keeps its embedded store and its log in the directory."""
        directory.mkdir(parents=True, exist_ok=True)
        self.contender = contender
        self.directory = directory
        self.port = free_port()
        self._addresses = addresses
        self._process = ServerProcess(self._command(), directory)

    @property
    def pid(self) -> int:
        """Its main process."""
        return self._process.pid

    @property
    def embedded(self) -> Path:
        """The file of its embedded store."""
        return self.directory / "embedded.db"

    def launch(self) -> None:
        """Start it without waiting."""
        self._process.start()

    def wait_until_ready(self) -> None:
        """Return once it greets. Raises ServerFailed."""
        self._process.wait_until_ready(self._greets, _READY_DEADLINE)

    def stop(self) -> None:
        """End it at once."""
        if self._process.is_running:
            self._process.stop()

    def get(self, path: str) -> bytes:
        """Return what it answers. Raises OSError for everything but 200."""
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            body: bytes = answer.read()
            return body

    def _greets(self) -> bool:
        path = "/PING" if self.contender.key == "webdis" else WORKS["greeting"].path
        try:
            return bool(self.get(path))
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.05)
            return False

    def _command(self) -> list[str]:
        if self.contender.key == "webdis":
            return self._webdis()
        python = sys.executable if self.contender.is_ours else str(PEERS_PYTHON)
        settings = self._ours() if self.contender.is_ours else self._peers()
        # The kernel's process stays the one that was started: env replaces itself.
        return [
            *("/usr/bin/env", *(f"{name}={value}" for name, value in settings.items()), python),
            *(part.replace("{port}", str(self.port)) for part in self.contender.command),
        ]

    def _ours(self) -> dict[str, str]:
        addresses = self._addresses
        resources = {"donuts": {"kind": "text", "url": f"sqlite:{self.embedded}?table=donuts"}}
        settings = {"SPRINGFIELD_DATA_DIR": str(self.directory / "data")}
        if addresses.s3:
            bucket = addresses.s3["BENCH_BUCKET"]
            resources["photos"] = {"kind": "objects", "url": f"s3://{bucket}/photos/"}
            settings |= {name: v for name, v in addresses.s3.items() if name.startswith("AWS_")}
        urls = {
            "SPRINGFIELD_MARGES_URL": addresses.redis,
            "SPRINGFIELD_HOMERS_URL": addresses.mongodb,
            "SPRINGFIELD_LISAS_URL": f"{addresses.mysql}?table=lisa" if addresses.mysql else "",
        }
        return {
            **settings,
            **{name: url for name, url in urls.items() if url},
            "PYTHONPATH": str(ROOT / "src"),
            "SPRINGFIELD_POOL_SIZE": str(POOL),
            "SPRINGFIELD_DRAIN_DELAY": "0",
            "SPRINGFIELD_RESOURCES": json.dumps(resources),
        }

    def _peers(self) -> dict[str, str]:
        addresses = self._addresses
        return {
            "PYTHONPATH": str(ROOT),
            "BENCH_REDIS": addresses.redis,
            "BENCH_MONGODB": addresses.mongodb,
            "BENCH_MYSQL": addresses.mysql,
            "BENCH_EMBEDDED": str(self.embedded),
            "BENCH_S3_CLIENT": self.contender.s3_client,
            "BENCH_POOL": str(POOL),
            **addresses.s3,
        }

    def _webdis(self) -> list[str]:
        program = find_program("webdis")
        host, _, port = self._addresses.redis.removeprefix("redis://").partition(":")
        settings = {
            "redis_host": host,
            "redis_port": int(port.partition("/")[0]),
            "http_host": "127.0.0.1",
            "http_port": self.port,
            "threads": 1,
            "pool_size": POOL,
            "daemonize": False,
            "verbosity": 0,
            "acl": [{"disabled": ["DEBUG"]}],
        }
        file = self.directory / "webdis.json"
        file.write_text(json.dumps(settings))
        return [str(program), str(file)]


def can_run(contender: Contender) -> bool:
    """Whether the contender is on this machine."""
    if contender.key == "webdis":
        return find_program("webdis") is not None
    return contender.is_ours or PEERS_PYTHON.exists()

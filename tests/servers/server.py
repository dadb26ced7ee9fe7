"""In charge of what every server offers to a test. A product adds its command line and its probe.

A server is ours, then the test may do with it what it likes, or it is named by an environment
variable, then it is only used.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import urlsplit

from tests.servers.process import ServerFailed, ServerProcess


class Server:
    """One real server, as a context manager: started on entry, killed on exit."""

    variable: ClassVar[str]  # the environment variable that names a server from outside
    default_port: ClassVar[int]
    ready_deadline: ClassVar[float] = 30.0

    def __init__(self, url: str, process: ServerProcess | None) -> None:
        """Take the URL as Springfield takes it; without a process the server is not ours."""
        self.url = url
        self._process = process
        first_host, _, _ = url.partition(",")  # a replica set names several
        address = urlsplit(first_host)
        self.host = address.hostname or "127.0.0.1"
        self.port = address.port or self.default_port

    @classmethod
    def own(cls, directory: Path) -> Self:
        """Prepare a private server that keeps its data in the directory; not started yet.

        Raises ServerMissing where its program is not on this machine.
        """
        raise NotImplementedError

    @classmethod
    def shared(cls, directory: Path) -> Self:
        """Return the server that the environment names, else a private one, not started yet."""
        url = os.environ.get(cls.variable)
        return cls(url, None) if url else cls.own(directory)

    def is_ready(self) -> bool:
        """Whether a real client gets an answer, asked once."""
        raise NotImplementedError

    @property
    def process(self) -> ServerProcess:
        """The process. Raises ServerFailed where the server is not ours."""
        if self._process is None:
            raise ServerFailed(
                f"{self.variable} names this server, so the tests must not start or stop it: "
                "use the own_ form of the fixture."
            )
        return self._process

    def launch(self) -> None:
        """Start the process without waiting. A server from outside is left alone."""
        if self._process is not None:
            self._process.start()

    def wait_until_ready(self) -> None:
        """Return once the server answers a client. Raises ServerFailed after 30 seconds."""
        if self._process is not None:
            self._process.wait_until_ready(self.is_ready, self.ready_deadline)
        elif not self.is_ready():
            raise ServerFailed(f"{self.variable} names a server that does not answer.")

    def start(self) -> None:
        """Start the process, on the same port and data every time, and wait until it answers."""
        self.process.start()
        self.wait_until_ready()

    def stop(self) -> None:
        """End the process in its own orderly way."""
        self.process.stop()

    def kill(self) -> None:
        """End the process at once, as kill -9 does."""
        self.process.kill()

    def pause(self) -> None:
        """Freeze the process: it is connected and silent."""
        self.process.pause()

    def resume(self) -> None:
        """Let the frozen process go on."""
        self.process.resume()

    def discard(self) -> None:
        """Kill the process where it is ours: its data go with the temporary directory."""
        if self._process is not None:
            self._process.kill()

    def __enter__(self) -> Self:
        try:
            self.launch()
            self.wait_until_ready()
        except BaseException:
            self.discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.discard()

"""In charge of the servers that a whole session shares: each is started once, and all at once."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from tests.servers.missing import ServerMissing, report_missing
from tests.servers.server import Server

ServerT = TypeVar("ServerT", bound=Server)


class SharedServers:
    """Launch them first, side by side; waiting for one is then waiting for what is left of it."""

    def __init__(self, directory_for: Callable[[str], Path], stack: ExitStack) -> None:
        """Take where data may be kept, and the stack that ends the servers."""
        self._directory_for = directory_for
        self._stack = stack
        self._launched: dict[type[Server], Server | ServerMissing] = {}

    def launch(self, kind: type[Server]) -> None:
        """Start the server without waiting, once. That it is missing is told by ``ready``."""
        if kind in self._launched:
            return
        try:
            server = kind.shared(self._directory_for(kind.__name__))
        except ServerMissing as missing:
            self._launched[kind] = missing
            return
        self._stack.callback(server.discard)
        server.launch()
        self._launched[kind] = server

    def ready(self, kind: type[ServerT]) -> ServerT:
        """Return the server once it answers; skip or fail the test where it is missing."""
        self.launch(kind)
        server = self._launched[kind]
        if isinstance(server, ServerMissing):
            report_missing(server)
        assert isinstance(server, kind)
        server.wait_until_ready()
        return server

"""In charge of what every state of a connection has: the way in, the way out, deadlines, an end."""

import asyncio
import logging
from math import inf

from springfield.server.engine.connections import Closable, Connections
from springfield.server.engine.outflow import Outflow
from springfield.server.peer import Peer

log = logging.getLogger("springfield.server")


class Connection(asyncio.BufferedProtocol, Closable):
    """A connection, in one of its states: `WireProtocol`, then perhaps `Lingering`."""

    # What 10,000 of a process are has slots, here and in what they consist of.
    __slots__ = (
        "_connections",
        "_deadline",
        "_limits",
        "_loop",
        "_transport",
        "context",
        "outflow",
    )

    context: Peer
    outflow: Outflow
    _transport: asyncio.Transport

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._limits = connections.limits
        self._loop = asyncio.get_running_loop()
        self._deadline = inf

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read into."""
        del sizehint
        return self._connections.inbox

    def pause_writing(self) -> None:
        """Take note that the client does not take what is written."""
        self.outflow.pause()

    def resume_writing(self) -> None:
        """Take note that the client has taken everything."""
        self.outflow.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake up who waits for a write."""
        del exc
        self.outflow.lose()
        self._connections.discard(self)

    def check(self, now: float) -> None:
        """See Closable: cut the connection of a client that takes nothing, or `expire`."""
        if now >= self.outflow.deadline and self.outflow.is_stuck(now):
            log.info("%s does not take its answer", self.context)
            self.cut()
        elif now >= self._deadline:
            self._deadline = inf
            self.expire()

    def expire(self) -> None:
        """Act on the deadline, which has passed."""
        raise NotImplementedError

    def retire(self) -> bool:
        """See Closable."""
        return False

    def end(self) -> None:
        """See Closable: what was written has the time that `outflow` gives it."""
        self._deadline = inf
        self.outflow.leave()
        self._transport.close()

    def cut(self) -> None:
        """See Closable."""
        self._deadline = inf
        self.outflow.leave()
        self._transport.abort()

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds

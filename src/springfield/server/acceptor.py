"""In charge of taking connections from listening sockets, for both engines and on any event loop.

So many a turn of the loop and socket: few, where processes share the socket, so that each takes its
part of a burst and a busy one takes less; more, where nobody else is there, as a turn has its price.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any

log = logging.getLogger("springfield.server")

Take = Callable[[socket.socket, Any], None]
"""Takes a connection, not blocking, and its peer's address; must not raise."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE = 1.0
"""Seconds without accepting when the system has no descriptors or memory left: accept(2) would say
so again at once, for ever."""


class Acceptor:
    """Accepts connections from `start` until `stop`."""

    def __init__(self, take: Take, at_once: int) -> None:
        self._take = take
        self._at_once = at_once
        self._listening: list[socket.socket] = []
        self._loop = asyncio.get_running_loop()

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on `sockets`, which listen already."""
        for sock in sockets:
            sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
            self._listening.append(sock)
            self._loop.add_reader(sock, self._accept_some, sock)

    def stop(self) -> None:
        """Take what the kernel has accepted already, then close the sockets.

        The kernel resets what waits in the queue of a socket that is closed, though its client has
        been told that it is connected.
        """
        listening, self._listening = self._listening, []
        for sock in listening:
            self._loop.remove_reader(sock)
            while self._accept(sock):
                pass
            sock.close()

    def _accept_some(self, sock: socket.socket) -> None:
        for _ in range(self._at_once):
            if not self._accept(sock):
                break

    def _accept(self, sock: socket.socket) -> bool:
        """Take a connection; tell whether there may be more."""
        try:
            connection, address = sock.accept()
        except (BlockingIOError, InterruptedError):  # another process was quicker
            return False
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                return True  # this one went away before it was accepted
            log.error("no connection is accepted for a second: %s", error.strerror)  # noqa: TRY400
            self._loop.remove_reader(sock)
            self._loop.call_later(_PAUSE, self._resume, sock)
            return False
        connection.setblocking(False)  # noqa: FBT003
        self._take(connection, address)
        return True

    def _resume(self, sock: socket.socket) -> None:
        if sock in self._listening:
            self._loop.add_reader(sock, self._accept_some, sock)

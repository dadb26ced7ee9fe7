"""In charge of what was read and not yet parsed, and of reading no more while something waits."""

import asyncio
import sys
from fcntl import ioctl
from termios import FIONREAD

from springfield.server.engine.parser import RequestParser


class Inflow:
    """The way into one connection. Holds at most what one read gives, then the client waits."""

    __slots__ = ("_data", "_is_reading", "_offset", "_transport", "has_more", "is_at_end")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._data = b""
        self._offset = 0
        self._is_reading = True
        self.has_more = False
        """Whether something waits to be parsed."""
        self.is_at_end = False
        """Whether the client has shut down its sending side."""

    def add(self, data: bytes) -> None:
        """Take what was read."""
        if self.has_more:
            data = self._data[self._offset :] + data
        self._data, self._offset = data, 0
        self.has_more = True

    def feed(self, parser: RequestParser) -> None:
        """Let `parser` read on, at most to the end of a head or a message; raises Refusal."""
        self._offset = parser.feed(self._data, self._offset)
        self.has_more = self._offset < len(self._data)

    @property
    def has_unread(self) -> bool:
        """Whether something waits in the kernel, or to be parsed."""
        sock = self._transport.get_extra_info("socket")
        try:
            size = int.from_bytes(ioctl(sock.fileno(), FIONREAD, bytes(4)), sys.byteorder)
        except OSError:  # closed
            size = 0
        return size > 0 or self.has_more

    def steer(self) -> None:
        """Read on when nothing waits, else stop reading."""
        is_wanted = not self.has_more
        if is_wanted:
            self._data = b""  # it may be 64 KiB, and an idle connection holds nothing
        if is_wanted == self._is_reading or self.is_at_end:
            return
        self._is_reading = is_wanted
        if is_wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def drop(self) -> int:
        """Forget what waits; return how many bytes that were."""
        size = len(self._data) - self._offset if self.has_more else 0
        self._data, self.has_more = b"", False
        return size

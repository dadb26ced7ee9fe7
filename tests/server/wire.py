"""In charge of reading answers from a raw connection, strictly."""

import re
import socket
from dataclasses import dataclass

_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[!-9;-~]+: [^\r\n]*\r\n)*)\r\n")


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Reader:
    """Answers out of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = bytearray()
        self.is_closed = False

    def answer(self, method: str = "GET") -> Answer | None:
        """Read one answer; None when the connection was closed before it."""
        while (head := _HEAD.match(bytes(self._data[:70000]))) is None:
            if not self._more():
                assert not self._data, f"not an answer: {self._data[:200]!r}"
                return None
        end = head.end()
        status = int(head[1])
        headers: dict[str, str] = {}
        for line in head[2].decode("latin-1").splitlines():
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} appears twice"
            headers[name.lower()] = value
        del head, self._data[:end]
        return Answer(status, headers, self._body(status, headers, method))

    def rest(self) -> bytes:
        """Read until the connection is closed."""
        while self._more():
            pass
        return self._take(len(self._data))

    def _body(self, status: int, headers: dict[str, str], method: str) -> bytes:
        if method == "HEAD" or status in {204, 304} or status < 200:
            return b""
        if headers.get("transfer-encoding") == "chunked":
            assert "content-length" not in headers
            return self._chunks()
        if "content-length" in headers:
            return self._take(int(headers["content-length"]))
        return self.rest()

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._line(), 16):
            body += self._take(size)
            assert self._take(2) == b"\r\n"
        assert self._take(2) == b"\r\n"
        return body

    def _line(self) -> bytes:
        while b"\r\n" not in self._data:
            assert self._more(), "closed in the middle of an answer"
        line = self._take(self._data.index(b"\r\n"))
        assert self._take(2) == b"\r\n"
        return line

    def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            assert self._more(), "closed in the middle of an answer"
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken

    def _more(self) -> bool:
        try:
            data = self._sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        self._data += data
        self.is_closed = not data
        return bool(data)

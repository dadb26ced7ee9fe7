"""In charge of one request and its answer: Tornado's HTTPConnection over the transport.

Decides how the answer's end is marked and whether the connection lives on (RFC 9112, 6.3 and 9.3).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPOutputError,
    RequestStartLine,
    ResponseStartLine,
)

from springfield.headers import Headers
from springfield.server.engine.head import Head
from springfield.server.engine.outflow import Outflow
from springfield.server.peer import Peer

JOINED = 64 * 1024
"""Bytes of content up to which head and content are one write; beyond, the copy costs more."""

log = logging.getLogger("springfield.server")


class Wire(Protocol):
    """What an exchange asks of its connection."""

    outflow: Outflow
    context: Peer

    @property
    def is_last(self) -> bool:
        """Whether no more requests are wanted on this connection."""

    def answer_begun(self) -> None:
        """Take note that something of the answer was written."""

    def answered(self, exchange: "Exchange") -> None:
        """Take note that the whole answer was written."""

    def cut(self) -> None:
        """Close without waiting for anything."""

    def rest(self, seconds: float) -> None:
        """Begin no other request for so long."""


class Exchange(HTTPConnection):
    """One request, from the end of its head to the end of its answer."""

    lingers = True
    """After an early answer the engine reads the rest of the request away, so that it arrives."""

    delegate: HTTPMessageDelegate
    """Until it has all of the request."""
    is_received = False
    """Whether the delegate has all of the request."""
    is_begun = False
    """Whether something of the answer was written."""
    is_answered = False
    """Whether all of the answer was written."""
    is_gone = False
    """Whether the client is gone, or was answered by the engine in the handler's stead."""

    _close_callback: Callable[[], None] | None = None
    _is_chunked = False
    _remaining: int | None = None
    _has_content = True

    def __init__(self, wire: Wire, head: Head) -> None:
        self._wire = wire
        self.start_line: RequestStartLine = head.start_line
        self.context = wire.context
        """Tornado's name for who sent the request: `remote_ip` and `protocol`."""
        self.is_kept_alive = head.is_kept_alive
        self.awaits_continue = head.is_expecting
        """Whether the client has not been told yet to send the body."""

    # What a handler calls.

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> "asyncio.Future[None]":
        """Write the answer's head and the first part of its content; see HTTPConnection.

        Raises ValueError for a header with CR or LF.
        """
        if self.is_gone:
            return self._wire.outflow.failed()
        assert isinstance(start_line, ResponseStartLine)
        fields = headers if type(headers) is Headers else Headers.of(headers)
        self._frame(start_line.code, fields)
        self._connect(fields)
        head = _rendered(start_line, fields)
        self.is_begun = True
        self.awaits_continue = False
        self._wire.answer_begun()
        content = self._framed(chunk) if chunk else b""
        if len(content) <= JOINED:
            return self._wire.outflow.write(head + content)
        _ = self._wire.outflow.write(head)
        return self._wire.outflow.write(content)

    def write(self, chunk: bytes) -> "asyncio.Future[None]":
        """Write a part of the content; see HTTPConnection."""
        if self.is_gone:
            return self._wire.outflow.failed()
        return self._wire.outflow.write(self._framed(chunk))

    def finish(self) -> None:
        """End the answer; raises HTTPOutputError when it is shorter than its Content-Length."""
        if self.is_gone or self.is_answered:
            return
        if self._remaining:
            self._wire.cut()
            raise HTTPOutputError(f"The answer is {self._remaining} bytes short.")
        if self._is_chunked:
            _ = self._wire.outflow.write(b"0\r\n\r\n")
        self.is_answered = True
        self._wire.answered(self)

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Have `callback` called when the client goes away after its request was received."""
        self._close_callback = callback

    def close(self) -> None:
        """Cut the connection, so that a client sees that the answer is not complete."""
        self._wire.cut()

    def rest(self, seconds: float) -> None:
        """Read no other request of this client for `seconds`: it should have waited by itself."""
        self._wire.rest(seconds)

    def set_max_body_size(self, max_body_size: int) -> None:
        """Nothing: a handler that streams bounds its body itself."""

    def set_body_timeout(self, timeout: float) -> None:
        """Nothing: the engine bounds the time without progress, not the time of the whole."""

    # What the connection calls.

    def lose(self) -> None:
        """Say once to whoever is concerned that nobody waits for the answer any more."""
        if self.is_gone:
            return
        self.is_gone = True
        callback, self._close_callback = self._close_callback, None
        if not self.is_received:
            callback = self.delegate.on_connection_close
        if callback is not None:
            try:
                callback()
            except Exception:
                log.exception("defect in a close callback")

    # How the answer's end is marked.

    def _frame(self, code: int, headers: Headers) -> None:
        is_empty = code in {204, 304} or code < 200  # noqa: PLR2004 - RFC 9110, section 15
        self._has_content = not is_empty and self.start_line.method != "HEAD"
        if "Transfer-Encoding" in headers.fields:
            del headers["Transfer-Encoding"]  # ours to say
        length = headers.fields.get("Content-Length")
        if length is not None:
            if is_empty and code != 304:  # noqa: PLR2004 - RFC 9110, section 8.6
                del headers["Content-Length"]
            elif self._has_content:
                self._remaining = int(length)
        elif self._has_content:
            if self.start_line.version == "HTTP/1.0":
                self.is_kept_alive = False  # its end is the connection's
            else:
                self._is_chunked = True
                headers["Transfer-Encoding"] = "chunked"

    def _connect(self, headers: Headers) -> None:
        # A client that was not told to continue may send the body all the same, or not: nobody
        # could say where its next request begins.
        if self._wire.is_last or self.awaits_continue:
            self.is_kept_alive = False
        given = headers.fields.get("Connection")
        if given is not None and "close" in given.lower():
            self.is_kept_alive = False
        elif not self.is_kept_alive:
            headers["Connection"] = "close"
        elif self.start_line.version == "HTTP/1.0":
            headers["Connection"] = "keep-alive"

    def _framed(self, chunk: bytes) -> bytes:
        if not self._has_content or not chunk:
            return b""
        if self._is_chunked:
            return b"%x\r\n%b\r\n" % (len(chunk), chunk)
        if self._remaining is not None:
            self._remaining -= len(chunk)
            if self._remaining < 0:
                self._wire.cut()
                raise HTTPOutputError(f"The answer is {-self._remaining} bytes too long.")
        return chunk


def _rendered(start_line: ResponseStartLine, headers: Headers) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in headers.get_all()]
    text = f"HTTP/1.1 {start_line.code} {start_line.reason}\r\n{''.join(lines)}\r\n"
    if text.count("\n") != len(lines) + 2 or text.count("\r") != len(lines) + 2:
        raise ValueError("A header of the answer has a line break.")
    return text.encode("latin-1")

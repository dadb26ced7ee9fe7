"""In charge of ending a connection behind an answer that says `Connection: close`, on Tornado's engine.

Tornado decides on the end of a connection by the request alone. Without this, requests behind such an
answer would be executed, and a client that has been told to go repeats them (RFC 9112, section 9.6).
"""

import asyncio
from typing import Any

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)


class EndingConnections(HTTPServerConnectionDelegate):
    """An application that sees nothing of a connection behind an answer that closes it."""

    def __init__(self, application: HTTPServerConnectionDelegate) -> None:
        self._application = application
        self._ended: set[object] = set()

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """See HTTPServerConnectionDelegate."""
        if server_conn in self._ended:  # all of the answer is with the kernel by now
            request_conn.close()  # type: ignore[attr-defined]
            return HTTPMessageDelegate()
        return self._application.start_request(
            server_conn, _Watched(request_conn, server_conn, self._ended)
        )

    def on_close(self, server_conn: object) -> None:
        """See HTTPServerConnectionDelegate."""
        self._ended.discard(server_conn)
        self._application.on_close(server_conn)


class _Watched(HTTPConnection):
    """Tornado's connection, and what its answer says of its end."""

    def __init__(self, connection: HTTPConnection, server_conn: object, ended: set[object]) -> None:
        self._connection: Any = connection
        self._server_conn = server_conn
        self._ended = ended

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> "asyncio.Future[None]":
        if "close" in headers.get("Connection", "").lower():
            self._ended.add(self._server_conn)
        written: asyncio.Future[None] = self._connection.write_headers(start_line, headers, chunk)
        return written

    def write(self, chunk: bytes) -> "asyncio.Future[None]":
        written: asyncio.Future[None] = self._connection.write(chunk)
        return written

    def finish(self) -> None:
        self._connection.finish()

"""In charge of an answer on its way: its status, its header fields, its content, and its end.

Contract
    What Tornado documents of RequestHandler for an answer: `set_status`, `set_header`, `write`, `flush`,
    `finish`, `clear`, `send_error`, `compute_etag` and their kin. Cookies, templates and transforms are
    left out: no handler of a resource API has any.

Rejected
    RequestHandler's own: an answer took 40 µs in it, of which Date, the header fields one by one, and
    the digest of content that has an entity tag already were most. Here it takes 8.
"""

import hashlib
import re
import time
from asyncio import Future
from functools import lru_cache
from http import HTTPStatus
from typing import Any, cast

from tornado.escape import utf8
from tornado.httputil import HTTPServerRequest, ResponseStartLine, format_timestamp
from tornado.web import Application, RequestHandler

from springfield.headers import Headers
from springfield.web.traffic import Traffic

_FIELDS = {"Server": "springfield", "X-Content-Type-Options": "nosniff"}
"""What every answer says: as little about the server as the standard allows, and no guessing of types."""

_OK = 200
_EMPTY = frozenset({204, 304})
_OF_CONTENT = ("Content-Encoding", "Content-Language", "Content-Type")
_TAG = re.compile(r'\*|(?:W/)?"[^"]*"')
_BROKEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")


class Answering(RequestHandler):
    """A handler's answer."""

    is_begun = False
    """Whether its head was written, so that nothing else can be answered."""
    is_finished = False
    """Whether all of it was written, or nothing more will be."""

    status = 200
    size = 0
    """Bytes of content that were sent."""
    traffic: Traffic
    """The requests in flight of the whole service."""
    fields: Headers
    content: list[bytes]
    """What was not flushed yet."""

    def __init__(self, application: Application, request: HTTPServerRequest, **kwargs: Any) -> None:
        # What RequestHandler itself sets up is for templates, and for an answer of its own.
        self.application = application
        self.request = request
        self.clear()
        connection: Any = request.connection
        connection.set_close_callback(self.on_connection_close)
        self.initialize(**kwargs)

    def clear(self) -> None:
        """See RequestHandler."""
        self.status = 200
        self.fields = Headers(_fields_of(int(time.time())).copy())
        self.content = []
        self.set_default_headers()

    def set_status(self, status_code: int, reason: str | None = None) -> None:
        """See RequestHandler; the reason is the standard's."""
        del reason
        self.status = status_code

    def get_status(self) -> int:
        """See RequestHandler."""
        return self.status

    def set_header(self, name: str, value: Any) -> None:
        """See RequestHandler; what cannot be sent is found when it is to be."""
        self.fields[name] = value if isinstance(value, str) else str(value)

    def add_header(self, name: str, value: Any) -> None:
        """See RequestHandler."""
        self.fields.add(name, value if isinstance(value, str) else str(value))

    def clear_header(self, name: str) -> None:
        """See RequestHandler."""
        self.fields.pop(name, None)

    def write(self, chunk: str | bytes | dict[str, Any]) -> None:
        """See RequestHandler; JSON is made by who knows how large it may be."""
        assert not isinstance(chunk, dict)
        self.content.append(chunk if isinstance(chunk, bytes) else utf8(chunk))

    def flush(self, include_footers: bool = False) -> "Future[None]":
        """See RequestHandler; raises ValueError for a field that no header may have."""
        del include_footers
        content = self.content
        chunk = content[0] if len(content) == 1 else b"".join(content)
        self.content = []
        if self.request.method == "HEAD":
            chunk = b""
        self.size += len(chunk)
        connection: Any = self.request.connection
        if self.is_begun:
            return cast("Future[None]", connection.write(chunk))
        if self.traffic.is_draining:
            self.fields["Connection"] = "close"  # the client is not to come back
        _check_fields(self.fields)
        self.is_begun = True
        return cast(
            "Future[None]", connection.write_headers(_start_line(self.status), self.fields, chunk)
        )

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> "Future[None]":
        """See RequestHandler: what is answered with 200 has an entity tag, its own or the content's."""
        if self.is_finished:
            raise RuntimeError("finish() called twice")
        if chunk is not None:
            self.write(chunk)
        if not self.is_begun:
            self._settle_content()
        connection: Any = self.request.connection
        connection.set_close_callback(None)
        future = self.flush(include_footers=True)
        connection.finish()
        self.is_finished = True
        self.application.log_request(self)
        self.on_finish()
        return future

    def compute_etag(self) -> str | None:
        """See RequestHandler."""
        return entity_tag_of(b"".join(self.content))

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """See RequestHandler; an answer that has begun is cut, so that it is not taken for whole."""
        if self.is_begun:
            self.cut()
            return
        self.clear()
        self.set_status(status_code)
        self.write_error(status_code, **kwargs)
        if not self.is_finished:
            _ = self.finish()

    def cut(self) -> None:
        """End an answer that has begun and cannot be finished."""
        if self.is_finished:
            return
        self.is_finished = True
        connection: Any = self.request.connection
        connection.close()
        self.application.log_request(self)
        self.on_finish()

    def _settle_content(self) -> None:
        fields = self.fields.fields
        if self.status == _OK and "Etag" not in fields:
            self._tag_content()
        if self.status in _EMPTY:
            for name in _OF_CONTENT:
                if name in fields:
                    del self.fields[name]
        elif "Content-Length" not in fields:
            content = self.content
            size = len(content[0]) if len(content) == 1 else sum(map(len, content))
            fields["Content-Length"] = str(size)

    def _tag_content(self) -> None:
        if self.request.method not in {"GET", "HEAD"} or not (tag := self.compute_etag()):
            return
        self.fields["Etag"] = tag
        given = self.request.headers.get("If-None-Match")
        wanted = _TAG.findall(given) if given else ()
        if wanted and (wanted[0] == "*" or tag in (each.removeprefix("W/") for each in wanted)):
            self.content = []
            self.status = HTTPStatus.NOT_MODIFIED


def entity_tag_of(content: bytes) -> str:
    """Return the entity tag of an answer that has none of its own, with quotes, as Tornado makes it."""
    return f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"'


@lru_cache(2)
def _fields_of(second: int) -> dict[str, str]:
    """Return what every answer of this second says (Date: RFC 9110, section 5.6.7)."""
    return {"Date": format_timestamp(second), **_FIELDS}


@lru_cache
def _start_line(status: int) -> ResponseStartLine:
    return ResponseStartLine("HTTP/1.1", int(status), HTTPStatus(status).phrase)


def _check_fields(fields: Headers) -> None:
    values = "".join(fields.fields.values())
    if not (values.isascii() and values.isprintable()) and _BROKEN.search(values):
        raise ValueError("A header field of the answer has characters that cannot be sent.")

"""In charge of the answers that the engine gives by itself. Every one of them is a problem (RFC 9457).

A refusal ends its connection: after it nobody can say where the next request begins. It is told like any
other request's end, so that logs and metrics have it.
"""

import logging
import re
import time
from http import HTTPStatus

from httptools import HttpParserError
from tornado.httputil import HTTPHeaders, HTTPInputError, RequestStartLine, format_timestamp

from springfield.observability.events import RequestFinished
from springfield.observability.trace_context import TraceContext, trace_context_of
from springfield.server.peer import Peer
from springfield.web.problems import CODES, MEDIA_TYPE, Problem

ROUTE = "(refused)"
"""What is told as the route: none was looked for."""

log = logging.getLogger("springfield.server")

_METHOD = re.compile(rb"(?:\r\n)*[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: |\Z)")
_VERSION = re.compile(rb"(?:\r\n)*[^ \r\n]+ [^ \r\n]+ HTTP/(?!1\.[01](?!\d))\d+\.\d+")


class Refusal(Exception):
    """The request is refused by the engine; `code` names the problem."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code

    def answer(self, request: RequestStartLine | None, trace: TraceContext) -> bytes:
        """Return the whole answer, as bytes, to `request` as far as it is known."""
        status = CODES[self.code].status
        body = Problem(self.code, status, str(self)).body(_path_of(request), trace.trace_id)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            "Server: springfield\r\n"
            f"Date: {format_timestamp(time.time())}\r\n"
            f"Content-Type: {MEDIA_TYPE}\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            "Cache-Control: no-store\r\n"
            f"Traceresponse: {trace.header}\r\n"
            f"Content-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        is_head = request is not None and request.method == "HEAD"
        return head.encode("latin-1") + (b"" if is_head else body)

    def told(
        self,
        request: RequestStartLine | None,
        trace: TraceContext,
        answer: bytes,
        seconds: float,
        peer: Peer,
    ) -> RequestFinished:
        """Return what is told of a request that was refused `seconds` after its first byte."""
        return RequestFinished(
            "OTHER" if request is None else request.method,
            ROUTE,
            _path_of(request),
            CODES[self.code].status,
            len(answer.partition(b"\r\n\r\n")[2]),
            seconds,
            trace,
            scheme=peer.protocol,
            client=peer.remote_ip,
        )


def trace_of(headers: HTTPHeaders | None) -> TraceContext:
    """Return the ids under which a refusal is told; nobody records a span of it."""
    parent = "" if headers is None else headers.get("Traceparent", "")
    return trace_context_of(parent)._replace(is_sampled=False)


def refusal_of(error: HttpParserError, head: bytes) -> Refusal:
    """Return the refusal for what llhttp did not take; `head` is what was read of the request.

    llhttp says the same of a method that it does not know and of one that cannot be, and takes
    HTTP/2.0 for a version like others: the bytes decide.
    """
    if is_other_version(head):
        return version_not_supported()
    if "method" in str(error) and _METHOD.match(head):
        # RFC 9110, section 9.1
        return Refusal("not-implemented", "The request's method is not known to this server.")
    return Refusal("bad-request", f"The request is not HTTP/1.1: {error}.")


def refusal_for(error: Exception) -> Refusal:
    """Return the refusal for what was raised over a request, and log what is a defect."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HTTPInputError):
        return Refusal("bad-request", f"{error}.")
    log.error("defect in a delegate", exc_info=error)
    return Refusal("internal-error", "Something went wrong in the service; its log has it.")


def _path_of(request: RequestStartLine | None) -> str:
    return "" if request is None else request.path.partition("?")[0]


def is_other_version(head: bytes) -> bool:
    """Tell whether the request line is well-formed, but of another version than 1.0 and 1.1."""
    return _VERSION.match(head) is not None


def version_not_supported() -> Refusal:
    """Return the refusal of a request of another version of HTTP."""
    return Refusal("version-not-supported", "Only HTTP/1.0 and HTTP/1.1 are spoken here.")

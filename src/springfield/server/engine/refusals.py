"""In charge of the answers that the engine gives by itself. Every one of them is a problem (RFC 9457).

A refusal ends its connection: after it nobody can say where the next request begins.
"""

import logging
import re
import time
from http import HTTPStatus

from httptools import HttpParserError
from tornado.httputil import HTTPInputError, RequestStartLine, format_timestamp

from springfield.observability.trace_context import trace_context_of
from springfield.web.problems import CODES, MEDIA_TYPE, Problem

log = logging.getLogger("springfield.server")

_METHOD = re.compile(rb"(?:\r\n)*[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: |\Z)")
_VERSION = re.compile(rb"(?:\r\n)*[^ \r\n]+ [^ \r\n]+ HTTP/(?!1\.[01](?!\d))\d+\.\d+")


class Refusal(Exception):
    """The request is refused by the engine; `code` names the problem."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code

    def answer(self, request: RequestStartLine | None) -> bytes:
        """Return the whole answer, as bytes, to `request` as far as it is known."""
        status = CODES[self.code].status
        path = "" if request is None else request.path.partition("?")[0]
        trace = trace_context_of("")._replace(is_sampled=False)  # nobody records it
        body = Problem(self.code, status, str(self)).body(path, trace.trace_id)
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


def is_other_version(head: bytes) -> bool:
    """Tell whether the request line is well-formed, but of another version than 1.0 and 1.1."""
    return _VERSION.match(head) is not None


def version_not_supported() -> Refusal:
    """Return the refusal of a request of another version of HTTP."""
    return Refusal("version-not-supported", "Only HTTP/1.0 and HTTP/1.1 are spoken here.")

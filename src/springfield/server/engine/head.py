"""In charge of what a request's head means: target, host, framing, expectations.

llhttp has said that the head is well-formed; this says whether it is unambiguous (RFC 9112).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tornado.httputil import RequestStartLine

from springfield.headers import Headers, canonical_of
from springfield.server.engine.refusals import Refusal, is_other_version, version_not_supported

END = b"\r\n\r\n"
"""In llhttp's strict mode heads and chunked bodies end with these bytes and no others."""

# By experiment llhttp also takes several spaces, bare LFs before the line, and HTTP/0.9.
_REQUEST_LINE = re.compile(rb"(?:\r\n)*([^ \r\n]+) ([^ \r\n]+) (HTTP/1\.[01])\r\n")
_ABSOLUTE = re.compile(r"(https?)://([^/?#@]+)(/[^?#]*)?(\?.*)?", re.IGNORECASE)


@dataclass(slots=True)
class Head:
    """The head of one request."""

    start_line: RequestStartLine
    headers: Headers
    length: int | None
    """Bytes of the body; None when it is chunked."""
    is_kept_alive: bool
    """Whether the client would send another request on the connection."""
    is_expecting: bool
    """Whether the client waits for 100 (Continue) before it sends the body."""
    scheme: str | None
    """http or https where the target says so."""

    @property
    def has_body(self) -> bool:
        """Whether anything follows the head."""
        return self.length != 0


def read_head(
    raw: bytes, fields: Sequence[tuple[bytes, bytes]], target_size: int, *, is_kept_alive: bool
) -> Head:
    """Return what `raw`, a complete head, and its `fields` mean; raise Refusal."""
    line = _REQUEST_LINE.match(raw)
    if line is None:
        if is_other_version(raw):
            raise version_not_supported()
        raise Refusal(
            "bad-request", "The request line is not: method, space, target, space, HTTP/1.1."
        )
    raw_method, raw_target, raw_version = line.groups()
    method, version = word_of(raw_method), word_of(raw_version)
    target = raw_target.decode("latin-1")
    if len(target) > target_size:
        raise uri_too_long(target_size)
    headers = _headers(fields)
    uri, scheme = _origin_form(method, target, headers, version)
    length = _length(headers, version)
    is_expecting = "Expect" in headers.fields and _is_expecting(headers, version) and length != 0
    start_line = RequestStartLine(method, uri, version)
    return Head(start_line, headers, length, is_kept_alive, is_expecting, scheme)


@lru_cache(64)
def word_of(raw: bytes) -> str:
    """Return a method or a version: there are a few of each."""
    return raw.decode("latin-1")


def uri_too_long(limit: int) -> Refusal:
    """Return the refusal of a target over `limit` bytes."""
    return Refusal("uri-too-long", f"The request target is over {limit} bytes.")


def _headers(fields: Sequence[tuple[bytes, bytes]]) -> Headers:
    headers = Headers()
    for name, value in fields:
        # llhttp has checked both, and keeps the blanks behind a value.
        headers.add_canonical(canonical_of(name), value.decode("latin-1").rstrip(" \t"))
    return headers


def _origin_form(
    method: str, target: str, headers: Headers, version: str
) -> tuple[str, str | None]:
    hosts = headers.count("Host")
    if hosts > 1 or (not hosts and version != "HTTP/1.0"):
        raise Refusal("bad-request", f"The request has {hosts} Host fields; it must have one.")
    if method == "CONNECT":
        raise Refusal("not-implemented", "CONNECT is not implemented: this is not a proxy.")
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target, None
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Refusal("bad-request", "The request target is neither a path nor an http URL.")
    scheme, authority, path, query = absolute.groups()
    headers["Host"] = authority  # RFC 9112, section 3.2.2: the target's replaces the field's
    if path is None and query is None and method == "OPTIONS":
        return "*", scheme.lower()
    return (path or "/") + (query or ""), scheme.lower()


def _length(headers: Headers, version: str) -> int | None:
    codings = headers.fields.get("Transfer-Encoding")
    if codings is None:
        return int(headers.fields.get("Content-Length", "0"))
    if version == "HTTP/1.0":
        raise Refusal("bad-request", "HTTP/1.0 has no Transfer-Encoding (RFC 9112, section 6.1).")
    if codings.lower() == "chunked":
        return None
    # llhttp refuses "chunked, chunked", but takes "gzip, chunked" and ",chunked".
    *others, last = (coding.strip(" \t") for coding in codings.lower().split(","))
    if last == "chunked" and all(others):
        raise Refusal("not-implemented", "No transfer coding but chunked is implemented.")
    raise Refusal("bad-request", "Transfer-Encoding does not end in chunked, or is malformed.")


def _is_expecting(headers: Headers, version: str) -> bool:
    if version == "HTTP/1.0":
        return False  # RFC 9110, section 10.1.1
    expectations = [each.strip(" \t") for each in headers["Expect"].lower().split(",")]
    if set(expectations) - {"100-continue", ""}:
        raise Refusal("expectation-failed", "No expectation but 100-continue can be met.")
    return any(expectations)  # RFC 9110, section 5.6.1.2: empty elements do not count

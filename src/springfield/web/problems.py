"""In charge of turning errors into HTTP. The only file that does; RFC 9457.

Every error answer is `application/problem+json` with `type`, `title`, `status`, `detail`,
`instance`, `code` and `trace_id`. The body's status is the answer's.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tornado.web import HTTPError

from springfield.errors import SpringfieldError, StoreError, Unavailable

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "/problems/"


@dataclass(frozen=True, slots=True)
class Code:
    """What a `code` means; `meaning` is the page that its `type` URI leads to."""

    status: int
    title: str
    meaning: str


CODES: Mapping[str, Code] = {
    "bad-request": Code(
        400, "Bad request", "The request is not HTTP that this service understands."
    ),
    "invalid-name": Code(
        400,
        "Invalid name",
        "A name is 1 to 512 bytes of UTF-8 without control characters, percent-encoded in the path.",
    ),
    "invalid-content": Code(
        400,
        "Invalid content",
        "The body is not what the resource holds: not JSON (RFC 8259), or not UTF-8.",
    ),
    "invalid-parameter": Code(
        400,
        "Invalid parameter",
        "A query parameter or a header field has a value without meaning here.",
    ),
    "foreign-origin": Code(
        403,
        "Foreign origin",
        "A web page of another origin tried to write. While the service listens on a loopback address, only pages that it serves may.",
    ),
    "not-found": Code(404, "Not found", "There is no item or object of this name."),
    "no-such-route": Code(404, "No such route", "No resource is served under this path."),
    "method-not-allowed": Code(
        405,
        "Method not allowed",
        "The resource does not have this method; Allow names those that it has.",
    ),
    "read-only": Code(
        405, "Read only", "The service was started with --read-only; Allow names what is left."
    ),
    "not-acceptable": Code(
        406, "Not acceptable", "Accept does not allow the media type that the resource has."
    ),
    "request-timeout": Code(
        408, "Request timeout", "The request was not sent completely in time. Nothing was done."
    ),
    "name-collision": Code(
        409,
        "Name collision",
        "The store would keep this name and one that it already holds in the same place, so the write was refused. Nothing was changed.",
    ),
    "stopping": Code(409, "Stopping", "The service is being stopped, which cannot be taken back."),
    "wrong-type": Code(
        409,
        "Wrong type",
        "Under this name the store holds something of another type, such as a Redis list. Nothing was changed.",
    ),
    "precondition-failed": Code(
        412,
        "Precondition failed",
        "If-Match or If-None-Match is false for what the store holds now. Nothing was changed.",
    ),
    "too-large": Code(
        413, "Too large", "The body is over the size limit of the resource. Nothing was changed."
    ),
    "uri-too-long": Code(414, "URI too long", "The request target is over 16 KiB."),
    "unsupported-media-type": Code(
        415,
        "Unsupported media type",
        "The body's Content-Type or Content-Encoding is not one that the resource takes.",
    ),
    "range-not-satisfiable": Code(
        416, "Range not satisfiable", "The range begins behind the end of the object."
    ),
    "expectation-failed": Code(
        417, "Expectation failed", "Expect has a value other than 100-continue."
    ),
    "misdirected-request": Code(
        421,
        "Misdirected request",
        "While the service listens on a loopback address it answers to loopback names in Host alone, against DNS rebinding.",
    ),
    "not-storable": Code(
        422,
        "Not storable",
        "The name or the content is fine in itself, but the store of this resource cannot keep it whole. Nothing was changed.",
    ),
    "invalid-settings": Code(
        422,
        "Invalid settings",
        "The settings as they are now cannot be used, so that the old ones are kept, all of them.",
    ),
    "precondition-required": Code(
        428,
        "Precondition required",
        "The resource takes conditional writes alone; send If-Match or If-None-Match.",
    ),
    "headers-too-large": Code(
        431,
        "Headers too large",
        "The header fields of the request are too many (100) or too large (64 KiB).",
    ),
    "internal-error": Code(
        500,
        "Internal error",
        "A defect of the service. Its log has the details under the trace id.",
    ),
    "not-implemented": Code(
        501,
        "Not implemented",
        "The request asks for something that this version does not do, so nothing was done.",
    ),
    "upstream-failed": Code(
        502,
        "Upstream failed",
        "The upstream service failed or answered something that cannot be understood.",
    ),
    "stored-value-unreadable": Code(
        502,
        "Stored value unreadable",
        "What the store holds under this name is not content of the resource's kind.",
    ),
    "not-done": Code(
        503,
        "Store unavailable",
        "The store could not be asked, and nothing was written: the request may be repeated. 504 when a deadline passed.",
    ),
    "listing-too-expensive": Code(
        503,
        "Listing too expensive",
        "The store has no order of names, so that a page costs a look at every key, and the time "
        "for it was up. Use fewer keys, or a longer store_timeout.",
    ),
    "outcome-unknown": Code(
        503,
        "Outcome unknown",
        "A write was sent to the store and no answer came: it may have happened. Read before repeating it. 504 when a deadline passed.",
    ),
    "store-misconfigured": Code(
        503,
        "Store misconfigured",
        "The store answers, but an operator must change something before it can serve this resource.",
    ),
    "overloaded": Code(
        503,
        "Overloaded",
        "The service has as many requests in flight as it takes (max_requests). Nothing was done; "
        "repeat the request after Retry-After.",
    ),
    "unhealthy": Code(
        503, "Unhealthy", "At least one configured store does not answer the healthcheck."
    ),
    "not-live": Code(
        503,
        "Not live",
        "The event loop has not turned for too long: it is blocked, or has far too much to do.",
    ),
    "not-ready": Code(
        503,
        "Not ready",
        "The service is starting, draining or stopping, or lacks a store that is declared critical.",
    ),
    "workers-failed": Code(
        502, "Workers failed", "Some workers did not do what was asked; the others did."
    ),
    "version-not-supported": Code(
        505, "Version not supported", "The service speaks HTTP/1.0 and HTTP/1.1 here."
    ),
    "upstream-too-slow": Code(
        504, "Upstream too slow", "The upstream service did not answer in time."
    ),
}

_HTTP_CODES = {400: "bad-request", 404: "no-such-route", 405: "method-not-allowed"}


class HTTPRefusal(Exception):
    """The HTTP of a request is at fault, so the layers below never see it."""

    def __init__(self, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as an answer."""

    code: str
    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, object] = field(default_factory=dict)

    def body(self, instance: str, trace_id: str) -> bytes:
        """Return the answer's body (RFC 9457, section 3)."""
        members = {
            "type": TYPE_PREFIX + self.code,
            "title": CODES[self.code].title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code,
            "trace_id": trace_id,
            **self.members,
        }
        return json.dumps(members, ensure_ascii=True).encode() + b"\n"


def problem_of(error: BaseException | None) -> Problem:
    """Return the answer for `error`; what is not known is a defect of ours and gives nothing away."""
    match error:
        case SpringfieldError():
            return _of_ours(error)
        case HTTPRefusal():
            return Problem(error.code, CODES[error.code].status, str(error), error.headers)
        case HTTPError() if error.status_code in _HTTP_CODES:
            code = _HTTP_CODES[error.status_code]
            return Problem(code, error.status_code, CODES[code].meaning)
        case _:
            return Problem(
                "internal-error",
                500,
                "Something went wrong in the service; its log has the trace id.",
            )


def _of_ours(error: SpringfieldError) -> Problem:
    status = CODES[error.code].status
    headers = {}
    if isinstance(error, StoreError) and error.slow:
        status = 504
    elif isinstance(error, Unavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return Problem(error.code, status, str(error), headers)

"""In charge of heads whose header fields have come before: they are recognised, not parsed again.

A client says the same of itself with each request; what differs is the request line. So the lines behind it,
byte for byte, are kept with what llhttp and `read_head` found in them. Whatever is not of the plainest form,
in the request line as in the fields, is never kept and always parsed.

Figure
    In the process alone, without the kernel's part, a greeting takes 20 µs and a write 40; 24 and 47 before.
"""

import re

from tornado.httputil import RequestStartLine

from springfield.headers import Headers
from springfield.server.engine.head import END, Head, word_of
from springfield.server.limits import Limits

KEPT = 256
"""Kinds of clients, so to speak; then all are forgotten, and those that are still there kept anew."""
SIZE = 1024
"""Bytes of header fields beyond which they are not kept."""

# The characters of RFC 3986, a subset of what llhttp takes. The methods are those that have a meaning here, of
# which none changes how a request is framed (CONNECT would).
_LINE = re.compile(
    rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*) HTTP/1\.1\r\n"
)


class FamiliarHeads:
    """The header fields that one server's clients sent of late."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: dict[bytes, tuple[dict[str, str], int]] = {}

    def find(self, data: bytes, start: int) -> tuple[Head, int] | None:
        """Return the head that begins in `data` at `start`, and where it ends; None: it is to be parsed."""
        line = _LINE.match(data, start)
        if line is None:
            return None
        fields_start = line.end()
        end = data.find(END, fields_start) + len(END)
        known = self._known.get(data[fields_start:end])
        if known is None or end - start > self._limits.head_size:
            return None
        method, target = line.groups()
        if len(target) > self._limits.target_size:
            return None
        fields, length = known
        start_line = RequestStartLine(word_of(method), target.decode("ascii"), "HTTP/1.1")
        # A copy: what a handler does to its request's fields is nobody else's business.
        return Head(start_line, Headers(fields.copy()), length, True, False, None), end  # noqa: FBT003

    def learn(self, raw: bytes, head: Head) -> None:
        """Keep the fields of `raw`, a whole head that was parsed, if they are plain."""
        line = _LINE.match(raw)
        if line is None or len(raw) - line.end() > SIZE:
            return
        fields = head.headers.fields
        is_plain = head.is_kept_alive and not head.is_expecting and head.length is not None
        if not is_plain or "Upgrade" in fields or head.headers.has_repeated:
            return
        if len(self._known) == KEPT:
            self._known.clear()
        assert head.length is not None
        self._known[raw[line.end() :]] = fields.copy(), head.length

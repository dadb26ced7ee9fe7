"""In charge of reading one request after the other from a connection's bytes, with llhttp.

Heads whose fields are known are not parsed again (`familiar.py`), and a body of a known length is counted.
llhttp is never fed beyond the end of a message, so that nothing of the next request is read before
this one is answered: what waits are bytes, and they are bounded.
"""

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from springfield.server.engine.familiar import FamiliarHeads
from springfield.server.engine.head import END, Head, read_head, uri_too_long
from springfield.server.engine.refusals import Refusal, refusal_of
from springfield.server.limits import Limits

_EMPTY_LINES = b"\r\n" * 4  # one is to be ignored (RFC 9112, section 2.2); some clients send two


class RequestParser:
    """The requests of one connection. `feed` raises Refusal; then the parser is of no more use."""

    __slots__ = (
        "_body",
        "_familiar",
        "_fields",
        "_is_replaying",
        "_limits",
        "_llhttp",
        "_overhead",
        "_raw",
        "_remaining",
        "_tail",
        "head",
        "is_complete",
    )

    def __init__(self, limits: Limits, familiar: FamiliarHeads) -> None:
        self._limits = limits
        self._familiar = familiar
        self._llhttp: HttpRequestParser | None = None
        self.head: Head | None = None
        """The request that is being read, from the end of its head on."""
        self.is_complete = False
        """Whether all of it was read; nothing is fed until `next`."""
        self._raw = b""  # of a head that came in several pieces
        self._fields: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._remaining = 0
        self._overhead = 0
        self._tail = b""
        self._is_replaying = False

    def feed(self, data: bytes, start: int) -> int:
        """Read on in `data` from `start`, at most to the end of a head or a message.

        Returns where the reading ended, always beyond `start`.
        """
        if self.head is None:
            return self._feed_head(data, start)
        if self.head.length is None:
            return self._feed_chunked(data, start)
        end = min(start + self._remaining, len(data))
        self._remaining -= end - start
        self._body.append(data[start:end])
        self.is_complete = not self._remaining
        return end

    def take_body(self) -> bytes:
        """Return what has come of the body since the last call."""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        return body

    def next(self) -> None:
        """Begin with the next request."""
        # llhttp's own state is let go: it costs a KiB to hold while a client is idle or waits for
        # its answer, half a microsecond to make anew, and it refers back to this object.
        self._llhttp = None
        self.head = None
        self.is_complete = False
        self._raw = b""
        self._fields.clear()
        self._body.clear()
        self._tail = b""
        self._overhead = 0

    @property
    def is_between(self) -> bool:
        """Whether not a byte of the next request has come."""
        return self.head is None and not self._raw

    def close(self) -> None:
        """Let go of llhttp, which refers back to this object."""
        self._llhttp = None

    # What is fed.

    def _feed_head(self, data: bytes, start: int) -> int:
        if not self._raw:
            found = self._familiar.find(data, start)
            if found is not None:
                self.head, end = found
                self._remaining = self.head.length or 0
                self.is_complete = not self._remaining
                return end
        limit = self._limits.head_size - len(self._raw)
        end = _end_of_piece(self._raw[-3:], data, start)
        piece = data[start : min(end, start + limit)]
        raw = self._raw + piece if self._raw else piece
        self._raw = raw
        if raw.startswith(_EMPTY_LINES):
            raise Refusal("bad-request", "There are empty lines where a request must begin.")
        self._execute(piece)
        if self.head is None and (
            end - start > limit
            or (len(raw) > self._limits.target_size and b"\r\n" not in raw.lstrip(b"\r\n"))
        ):
            raise self._too_large(raw)
        if self.head is not None:
            self._familiar.learn(raw, self.head)
        return end

    def _feed_chunked(self, data: bytes, start: int) -> int:
        while start < len(data) and not self.is_complete:
            end = _end_of_piece(self._tail, data, start)
            piece = data[start:end]
            had = len(self._body)
            self._execute(piece)
            # httptools joins the fragments of a trailer without a bound; llhttp skips extensions.
            self._overhead = 0 if len(self._body) > had else self._overhead + len(piece)
            if self._overhead > self._limits.overhead_size:
                raise Refusal("headers-too-large", "Chunk extensions or trailers are too large.")
            self._tail = (self._tail + piece)[-3:]
            start = end
        return start

    def _execute(self, piece: bytes) -> None:
        if self._llhttp is None:
            self._llhttp = HttpRequestParser(self)
        try:
            self._llhttp.feed_data(piece)
        except HttpParserUpgrade:
            self._ignore_upgrade()
        except HttpParserCallbackError as error:
            cause = error.__context__  # what one of the callbacks below raised
            assert cause is not None
            raise cause from None
        except HttpParserError as error:
            raise refusal_of(error, self._raw if self.head is None else b"") from error

    def _ignore_upgrade(self) -> None:
        """Read the request as if it had no Upgrade (RFC 9110, section 7.8).

        llhttp takes an upgraded request as complete and its body for another protocol; another
        one is told about a body, or the body would be read as the next request.
        """
        assert self.head is not None
        if not self.head.has_body:
            return
        self.is_complete = False
        if self.head.length is not None:
            return
        self._is_replaying = True
        self._llhttp = HttpRequestParser(self)  # the first may have been told to close
        self._llhttp.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        self._is_replaying = False

    def _too_large(self, raw: bytes) -> Refusal:
        if b"\r\n" not in raw.lstrip(b"\r\n"):
            return uri_too_long(self._limits.target_size)
        return Refusal(
            "headers-too-large", f"The head of the request is over {self._limits.head_size} bytes."
        )

    # What llhttp calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field; trailers are ignored (RFC 9110, section 6.5.1)."""
        if self.head is not None:
            return
        if len(self._fields) == self._limits.field_count:
            raise Refusal(
                "headers-too-large",
                f"The request has more than {self._limits.field_count} header fields.",
            )
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Say what the head means."""
        if self._is_replaying:
            return
        if self.head is not None:
            raise Refusal("bad-request", "A request begins where another one is not at its end.")
        assert self._llhttp is not None
        self.head = read_head(
            self._raw,
            self._fields,
            self._limits.target_size,
            is_kept_alive=self._llhttp.should_keep_alive(),
        )
        self._remaining = self.head.length or 0

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._body.append(body)

    def on_message_begin(self) -> None:
        """Nothing: httptools calls it without asking whether it is there."""

    def on_message_complete(self) -> None:
        """Take note of the end."""
        self.is_complete = True


def _end_of_piece(before: bytes, data: bytes, start: int) -> int:
    """Return where the next `END` of `data` ends, or `data` itself; it may begin in `before`."""
    if before:
        found = (before + data[start : start + 3]).find(END)
        if found >= 0:
            return start + found + len(END) - len(before)
    found = data.find(END, start)
    return len(data) if found < 0 else found + len(END)

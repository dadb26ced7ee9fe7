"""In charge of the table of requests: what is sent, and what comes back on the wire.

The outcome is the statuses of the answers in order, and whether the connection is still good for
another request. `seen` is what the echo handler saw of the last request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HOST = b"Host: a.example\r\n"
GET = b"GET /echo HTTP/1.1\r\n" + HOST
POST = b"POST /echo HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"\r\n"


@dataclass(frozen=True)
class Case:
    """One row."""

    name: str
    sent: bytes
    outcome: str
    seen: Mapping[str, object] | None = None
    method: str = "GET"


def request(line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    """Return a request with a good Host."""
    return line + b"\r\n" + HOST + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def _target(name: str, target: bytes, outcome: str, /, **seen: object) -> Case:
    return Case(name, request(b"GET " + target + b" HTTP/1.1"), outcome, seen or None)


def _field(name: str, field: bytes, outcome: str = "400 closed", /, **seen: object) -> Case:
    return Case(name, request(b"GET /echo HTTP/1.1", field), outcome, seen or None)


def _post(name: str, fields: bytes, body: bytes, outcome: str, /, **seen: object) -> Case:
    return Case(name, POST + fields + END + body, outcome, seen or None)


def _chunks(name: str, body: bytes, outcome: str = "400 closed", /, **seen: object) -> Case:
    return Case(name, CHUNKED + body, outcome, seen or None)


ORDINARY: Sequence[Case] = (
    Case("a plain GET", GET + END, "200 open", {"method": "GET", "uri": "/echo", "body": ""}),
    Case("two pipelined requests", (GET + END) * 2, "200 200 open"),
    Case("fifty pipelined requests", (GET + END) * 50, " ".join(["200"] * 50) + " open"),
    Case(
        "a pipelined POST between GETs",
        GET + END + POST + b"Content-Length: 3\r\n\r\nabc" + GET + END,
        "200 200 200 open",
    ),
    Case("an empty line before the request", b"\r\n" + GET + END, "200 open"),
    Case("two empty lines before the request", b"\r\n\r\n" + GET + END, "200 open"),
    _field("a value with blanks around it", b"X: \t  y z \t ", "200 open", x=["y z"]),
    _field("an empty value", b"X:", "200 open", x=[""]),
    _field("a value of Latin-1", b"X: \xe9", "200 open", x=["\xe9"]),
    Case(
        "a repeated field",
        request(b"GET /echo HTTP/1.1", b"X: 1", b"x: 2"),
        "200 open",
        {"x": ["1", "2"]},
    ),
    Case("HEAD", request(b"HEAD /echo HTTP/1.1"), "200 open", method="HEAD"),
    Case(
        "HEAD of an answer without a length",
        request(b"HEAD /parts HTTP/1.1"),
        "200 open",
        method="HEAD",
    ),
    Case("204 has no body", request(b"GET /status/204 HTTP/1.1"), "204 open"),
    Case("304 has no body", request(b"GET /status/304 HTTP/1.1"), "304 open"),
    Case("an answer without a length", request(b"GET /parts HTTP/1.1"), "200 open"),
    Case("an answer by Tornado's default", request(b"GET /nowhere HTTP/1.1"), "404 open"),
    Case("OPTIONS *", request(b"OPTIONS * HTTP/1.1"), "200 open", {"uri": "*"}),
    Case(
        "a method that few know",
        request(b"PROPFIND /echo HTTP/1.1"),
        "200 open",
        {"method": "PROPFIND"},
    ),
)

CONNECTIONS: Sequence[Case] = (
    _field("Connection: close", b"Connection: close", "200 closed"),
    _field("Connection: close among others", b"Connection: te, Close", "200 closed"),
    Case("the handler closes", request(b"GET /closing HTTP/1.1") + GET + END, "200 closed"),
    Case("HTTP/1.0", b"GET /echo HTTP/1.0\r\n\r\n", "200 closed"),
    Case(
        "HTTP/1.0 with keep-alive",
        b"GET /echo HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        "200 open",
    ),
    Case(
        "HTTP/1.0 with keep-alive, no length",
        b"GET /parts HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "200 closed",
    ),
    Case(
        "HTTP/1.0 with a body",
        b"POST /echo HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
        "200 closed",
        {"body": "abc"},
    ),
    Case(
        "Upgrade is ignored",
        request(b"GET /echo HTTP/1.1", b"Connection: Upgrade", b"Upgrade: websocket"),
        "200 open",
    ),
    _post(
        "Upgrade with a body is ignored",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n",
        b"abc",
        "200 open",
        body="abc",
    ),
    _post(
        "Upgrade with chunks is ignored",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
        "200 open",
        body="abc",
    ),
    _post(
        "Upgrade and close, with a body",
        b"Connection: Upgrade, close\r\nUpgrade: h2c\r\nContent-Length: 3\r\n",
        b"abc",
        "200 closed",
        body="abc",
    ),
    _post(
        "Upgrade and close, with chunks",
        b"Connection: Upgrade, close\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
        "200 closed",
        body="abc",
    ),
    Case(
        "Upgrade in HTTP/1.0, with a body",
        b"POST /echo HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
        b"Content-Length: 3\r\n\r\nabc",
        "200 closed",
        {"body": "abc"},
    ),
    Case(
        "Upgrade with a body, then another request",
        request(
            b"POST /echo HTTP/1.1",
            b"Connection: Upgrade",
            b"Upgrade: h2c",
            b"Content-Length: 3",
            body=b"abc",
        )
        + GET
        + END,
        "200 200 open",
    ),
    Case(
        "CONNECT of a path",
        b"CONNECT /echo HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
        "501 closed",
    ),
    Case("CONNECT", request(b"CONNECT a.example:443 HTTP/1.1"), "501 closed"),
    Case("the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 closed"),
    Case(
        "a TLS handshake on a plain port",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "400 closed",
    ),
)

BODIES: Sequence[Case] = (
    _post("Content-Length", b"Content-Length: 3\r\n", b"abc", "200 open", body="abc"),
    _post("Content-Length with zeros", b"Content-Length: 0003\r\n", b"abc", "200 open", body="abc"),
    _post("Content-Length: 0", b"Content-Length: 0\r\n", b"", "200 open", body=""),
    Case(
        "a body that Tornado collects",
        request(b"POST /buffered HTTP/1.1", b"Content-Length: 3", body=b"abc"),
        "200 open",
    ),
    _chunks("chunks", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "200 open", body="abcde"),
    _chunks(
        "chunks of upper-case sizes", b"A\r\n0123456789\r\n0\r\n\r\n", "200 open", body="0123456789"
    ),
    _chunks("chunk extensions", b'3;a=b;c="d;e"\r\nabc\r\n0;x\r\n\r\n', "200 open", body="abc"),
    _chunks("trailers", b"3\r\nabc\r\n0\r\nX: y\r\nY:\r\n\r\n", "200 open", body="abc", x=[]),
    _chunks(
        "chunks that hold line ends",
        b"8\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n",
        "200 open",
        body="\r\n\r\n\r\n\r\n",
    ),
    _post(
        "TRANSFER-ENCODING: CHUNKED",
        b"TRANSFER-ENCODING: CHUNKED\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
        "200 open",
        body="abc",
    ),
    Case("a GET with a body", GET + b"Content-Length: 3\r\n\r\nabc", "200 open", {"body": "abc"}),
    _post(
        "Expect without a body",
        b"Expect: 100-continue\r\nContent-Length: 0\r\n",
        b"",
        "200 open",
    ),
    _post(
        "Expect in capitals",
        b"Expect: 100-Continue\r\nContent-Length: 3\r\n",
        b"abc",
        "200 open",
        body="abc",
    ),
    _post(
        "Expect in two fields",
        b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 3\r\n",
        b"abc",
        "200 open",
        body="abc",
    ),
    _post(
        "Expect with empty elements",
        b"Expect: ,100-continue, ,\r\nContent-Length: 3\r\n",
        b"abc",
        "200 open",
        body="abc",
    ),
    _post("an empty Expect", b"Expect:\r\nContent-Length: 3\r\n", b"abc", "200 open", body="abc"),
    _post("another expectation", b"Expect: 200-ok\r\nContent-Length: 3\r\n", b"abc", "417 closed"),
    Case(
        "Expect of HTTP/1.0 is ignored",
        b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        "200 closed",
    ),
    Case(
        "an early answer, the body read away",
        request(b"POST /early HTTP/1.1", b"Content-Length: 3", body=b"abc"),
        "413 open",
    ),
    Case(
        "an early answer that closes",
        request(b"POST /early?close HTTP/1.1", b"Content-Length: 3", body=b"abc"),
        "413 closed",
    ),
    Case(
        "an early answer to chunks",
        request(
            b"POST /early HTTP/1.1", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"
        ),
        "413 open",
    ),
    Case(
        "an early answer to Expect",
        request(b"POST /early HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 3"),
        "413 closed",
    ),
)

FRAMING: Sequence[Case] = (
    _post(
        "Content-Length twice, equal",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"abc",
        "400 closed",
    ),
    _post(
        "Content-Length twice, different",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"abc",
        "400 closed",
    ),
    _post("Content-Length as a list", b"Content-Length: 3, 3\r\n", b"abc", "400 closed"),
    _post("Content-Length with a plus", b"Content-Length: +3\r\n", b"abc", "400 closed"),
    _post("Content-Length below zero", b"Content-Length: -3\r\n", b"abc", "400 closed"),
    _post("Content-Length in hexadecimal", b"Content-Length: 0x3\r\n", b"abc", "400 closed"),
    _post("Content-Length with an underscore", b"Content-Length: 1_0\r\n", b"abc", "400 closed"),
    _post(
        "Content-Length beyond 64 bits",
        b"Content-Length: 99999999999999999999\r\n",
        b"abc",
        "400 closed",
    ),
    _post("an empty Content-Length", b"Content-Length:\r\n", b"abc", "400 closed"),
    _post(
        "Content-Length before Transfer-Encoding",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"0\r\n\r\n",
        "400 closed",
    ),
    _post(
        "Transfer-Encoding before Content-Length",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"0\r\n\r\n",
        "400 closed",
    ),
    _post(
        "Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"0\r\n\r\n",
        "501 closed",
    ),
    _post("Transfer-Encoding: gzip", b"Transfer-Encoding: gzip\r\n", b"0\r\n\r\n", "400 closed"),
    _post(
        "Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: chunked, gzip\r\n",
        b"0\r\n\r\n",
        "400 closed",
    ),
    _post(
        "Transfer-Encoding: identity",
        b"Transfer-Encoding: identity\r\n",
        b"0\r\n\r\n",
        "400 closed",
    ),
    _post(
        "Transfer-Encoding: xchunked",
        b"Transfer-Encoding: xchunked\r\n",
        b"0\r\n\r\n",
        "400 closed",
    ),
    _post(
        "Transfer-Encoding twice",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"0\r\n\r\n",
        "400 closed",
    ),
    _post(
        "Transfer-Encoding with a vertical tab",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"0\r\n\r\n",
        "400 closed",
    ),
    Case(
        "Transfer-Encoding in HTTP/1.0",
        b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    _chunks("a chunk size that is no number", b"x\r\nabc\r\n0\r\n\r\n"),
    _chunks("a negative chunk size", b"-3\r\nabc\r\n0\r\n\r\n"),
    _chunks("a chunk size with 0x", b"0x3\r\nabc\r\n0\r\n\r\n"),
    _chunks("a blank behind the chunk size", b"3 \r\nabc\r\n0\r\n\r\n"),
    _chunks("a chunk size beyond 64 bits", b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    _chunks("a chunk longer than its size", b"3\r\nabcd\r\n0\r\n\r\n"),
    _chunks("a bare LF behind the chunk size", b"3\nabc\r\n0\r\n\r\n"),
    _chunks("a bare LF in a chunk extension", b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
    _chunks("trailers of 100 KiB", b"0\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", "431 closed"),
    _chunks("a chunk extension of 100 KiB", b"3;" + b"y" * 100_000 + b"\r\nabc\r\n", "431 closed"),
    _chunks("Content-Length as a trailer", b"0\r\nContent-Length: 3\r\n\r\n"),
)

HEADS: Sequence[Case] = (
    Case(
        "a bare LF behind the request line",
        b"GET /echo HTTP/1.1\nHost: a.example\r\n\r\n",
        "400 closed",
    ),
    Case("bare LFs alone", b"GET /echo HTTP/1.1\nHost: a.example\n\n", "400 closed"),
    _field("a bare LF in a value", b"X: y\nZ: w"),
    _field("a bare CR in a value", b"X: y\rz"),
    _field("obs-fold", b"X: y\r\n z"),
    _field("NUL in a value", b"X: y\x00z"),
    _field("a control byte in a value", b"X: y\x01z"),
    _field("DEL in a value", b"X: y\x7fz"),
    _field("a blank before the colon", b"X : y"),
    _field("a blank in a name", b"X Y: z"),
    _field("an empty name", b": z"),
    _field("no colon", b"X"),
    _field("a name that is not a token", b"X(: y"),
    Case(
        "a blank before the first field",
        b"GET /echo HTTP/1.1\r\n Host: a.example\r\n\r\n",
        "400 closed",
    ),
    Case("a method of lower case", request(b"get /echo HTTP/1.1"), "501 closed"),
    Case("an unknown method", request(b"BREW /echo HTTP/1.1"), "501 closed"),
    Case("a method that is no token", request(b"G@T /echo HTTP/1.1"), "400 closed"),
    Case("no method", request(b" /echo HTTP/1.1"), "400 closed"),
    Case("two blanks in the request line", request(b"GET  /echo HTTP/1.1"), "400 closed"),
    Case("a tab in the request line", request(b"GET\t/echo HTTP/1.1"), "400 closed"),
    Case("a blank behind the version", request(b"GET /echo HTTP/1.1 "), "400 closed"),
    Case("HTTP/0.9", b"GET /echo\r\n\r\n", "400 closed"),
    Case("HTTP/1.2", request(b"GET /echo HTTP/1.2"), "505 closed"),
    Case("HTTP/2.0", request(b"GET /echo HTTP/2.0"), "505 closed"),
    Case("HTTP/3.0", request(b"GET /echo HTTP/3.0"), "505 closed"),
    Case("HTTP/1.10", request(b"GET /echo HTTP/1.10"), "505 closed"),
    Case("http/1.1 of lower case", request(b"GET /echo http/1.1"), "400 closed"),
    Case("many empty lines", b"\r\n" * 100_000, "400 closed"),
    Case("no Host", b"GET /echo HTTP/1.1\r\n\r\n", "400 closed"),
    Case("two Hosts", GET + HOST + END, "400 closed"),
    Case("a Host with a blank", b"GET /echo HTTP/1.1\r\nHost: a b\r\n\r\n", "400 closed"),
    _target(
        "an absolute target",
        b"http://b.example:81/echo?x",
        "200 open",
        uri="/echo?x",
        host="b.example:81",
    ),
    _target("an absolute target of https, without TLS", b"https://b.example/echo", "421 closed"),
    _target("an absolute target without a path", b"http://b.example", "404 open"),
    _target("an absolute target with a user", b"http://u@b.example/echo", "400 closed"),
    _target("a target of another scheme", b"ftp://b.example/echo", "400 closed"),
    _target("a target without a slash", b"echo", "400 closed"),
    _target("GET *", b"*", "400 closed"),
    _target(
        "an encoded slash and dot segments",
        b"/echo/%2F/../.%2e?%00",
        "200 open",
        uri="/echo/%2F/../.%2e?%00",
    ),
    _target("a target of 8 KiB", b"/echo?" + b"x" * 8192, "200 open"),
    _target("a target of 20 KiB", b"/echo?" + b"x" * 20000, "414 closed"),
    _target("a target of 100 KiB", b"/echo?" + b"x" * 100000, "414 closed"),
    _target("a control byte in the target", b"/echo\x01", "400 closed"),
    _target("a byte that is not ASCII in the target", b"/echo\xc3\xa9", "400 closed"),
    _field("a head of 60 KiB", b"X: " + b"y" * 60000, "200 open"),
    _field("a head of 70 KiB", b"X: " + b"y" * 70000, "431 closed"),
    Case("99 fields more", request(b"GET /echo HTTP/1.1", *[b"X: y"] * 99), "200 open"),
    Case("101 fields", request(b"GET /echo HTTP/1.1", *[b"X: y"] * 100), "431 closed"),
)

CASES: Sequence[Case] = (*ORDINARY, *CONNECTIONS, *BODIES, *FRAMING, *HEADS)

TORNADO: Mapping[str, str] = {
    "Connection: close among others": "200 open",
    "HTTP/1.0 with keep-alive, no length": "no end",
    "Upgrade and close, with a body": "200 open",
    "Upgrade and close, with chunks": "200 open",
    "CONNECT of a path": "405 closed",
    "CONNECT": "405 open",
    "the HTTP/2 preface": "400 closed",
    "two empty lines before the request": "400 closed",
    "chunk extensions": "400 closed",
    "a chunk extension of 100 KiB": "closed",
    "trailers": "400 closed",
    "trailers of 100 KiB": "400 closed",
    "Expect without a body": "100 200 open",
    "another expectation": "200 open",
    "Expect of HTTP/1.0 is ignored": "100 200 closed",
    "an early answer, the body read away": "413 closed",
    "an early answer to chunks": "413 closed",
    "Content-Length twice, equal": "200 open",
    "Content-Length as a list": "200 open",
    "Transfer-Encoding: gzip, chunked": "400 closed",
    "Transfer-Encoding in HTTP/1.0": "200 closed",
    "a bare LF behind the request line": "200 open",
    "bare LFs alone": "200 open",
    "a bare LF in a value": "200 open",
    "a method of lower case": "405 closed",
    "an unknown method": "405 closed",
    "HTTP/1.2": "200 closed",
    "HTTP/2.0": "400 closed",
    "HTTP/3.0": "400 closed",
    "HTTP/1.10": "400 closed",
    "an absolute target": "404 open",
    "an absolute target of https, without TLS": "404 open",
    "an absolute target with a user": "404 open",
    "a target of another scheme": "404 open",
    "a target without a slash": "404 open",
    "GET *": "200 open",
    "a target of 20 KiB": "200 open",
    "a target of 100 KiB": "closed",
    "a byte that is not ASCII in the target": "200 open",
    "a head of 70 KiB": "closed",
    "101 fields": "200 open",
}
"""What Tornado's engine does otherwise, by the name of the case: closed, and in docs/reference/http.md.

"no end": the client never learns that the answer is complete.
"""

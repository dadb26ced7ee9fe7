"""Random requests never meet a defect, and never a status that the docs do not name."""

import http.client
import random
from pathlib import Path

from springfield.web.problems import CODES
from tests.service import running

REQUESTS = 5000
NAMED = {100, 200, 204, 206, 304, *(code.status for code in CODES.values()), 504} - {500}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "DOH"]
PATHS = [
    "/api/v1/homers/{}", "/api/v1/lisas/{}", "/api/v1/marges/{}", "/api/v1/bart", "/api/v1/bart/{}",
    "/api/v1/homers", "/api/v1/lisas/", "/api/v1/flanders", "/api/v1/healthcheck", "/problems/{}",
    "/{}", "/api/v1/{}",
]  # fmt: skip
NAMES = ["a", "b%20c", "a/b", "..", "%2F", "%00", "%ff", "%F0%9F%8D%A9", "n" * 512, "n" * 513, "a?ttl=5",
         "a?ttl=x", "?limit=3", "?limit=0&cursor=x", "%", "%zz", "a;b=c", "a%0d%0ab"]  # fmt: skip
HEADERS = {
    "If-Match": ["*", '"x"', 'W/"x"', '"', "x", ""],
    "If-None-Match": ["*", '"x"', '"x", W/"y"', "\t", "é"],
    "If-Range": ['"x"', "Sun, 06 Nov 1994 08:49:37 GMT"],
    "Range": ["bytes=0-1", "bytes=-1", "bytes=9-", "bytes=1-0", "bytes", "x=1-2", "bytes=0-0,2-3"],
    "Content-Type": ["application/json", "text/plain; charset=latin-1", "x", "", "multipart/form-data",
                     "application/merge-patch+json", "application/x-www-form-urlencoded", 'a/b; c="d'],
    "Content-Encoding": ["gzip", "identity", "x"],
    "Accept": ["*/*", "application/json", "text/html", "a/b;q=x", ";;,", "*/*;q=0"],
    "Prefer": ["wait=0", "wait=x", "respond-async", "wait=0, wait=0"],
    "Origin": ["null", "http://localhost", "x"],
    "Host": ["localhost", "evil.example", "[::1]:80", "localhost:x"],
    "Expect": ["100-continue"],
    "Traceparent": ["x", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"],
    "X-Junk": ["x" * 5000, "\x80\xff", "\t"],
    "Cookie": ["a=b; c"],
}  # fmt: skip
BODIES = [
    b"",
    b"1",
    b'{"a": 1}',
    b"{",
    b"\xff\x00",
    b"x" * 70_000,
    b"[" * 3000,
    b"null",
    b'"\\ud800"',
]


def test_no_random_request_meets_a_defect(tmp_path: Path) -> None:
    chance = random.Random(742)
    seen: dict[int, int] = {}
    flags = ("--item-limit=64KiB", "--object-limit=128KiB", "--log-level=warning")
    with running(tmp_path, *flags) as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        for _ in range(REQUESTS):
            path = chance.choice(PATHS).format(chance.choice(NAMES))
            headers = {
                name: chance.choice(values).encode("latin-1")
                for name, values in HEADERS.items()
                if chance.random() < 0.12
            }
            body = chance.choice(BODIES) if chance.random() < 0.6 else None
            method = chance.choice(METHODS)
            answer = send(connection, method, path, body, headers)
            if answer is None:  # it was closed after an early answer to the request before
                answer = send(connection, method, path, body, headers)
            if answer is None:
                continue
            seen[answer.status] = seen.get(answer.status, 0) + 1
            assert answer.status in NAMED, (method, path, headers, body, answer.status)
        connection.close()
    assert "defect" not in service.errors()
    assert sum(seen.values()) > REQUESTS * 0.97
    assert {200, 204, 304, 400, 404, 405, 406, 412, 413, 415, 416, 421, 403, 422} <= set(seen)


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, bytes],
) -> http.client.HTTPResponse | None:
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
    except (http.client.BadStatusLine, BrokenPipeError, ConnectionResetError):
        connection.close()
        return None
    if answer.headers["connection"] == "close":
        connection.close()
    return answer

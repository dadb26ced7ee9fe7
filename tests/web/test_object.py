"""The single object over HTTP, on the real process and the filesystem."""

import contextlib
import hashlib
import json
import os
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import ServiceProcess, running, wait_for

BART = "/api/v1/bart"
SIZE = 20 * 1024 * 1024


def chunks(size: int, seed: int = 1) -> Iterator[bytes]:
    source = random.Random(seed)
    while size > 0:
        part = source.randbytes(min(size, 77_777))
        size -= len(part)
        yield part


def test_an_object_is_streamed_up_and_down_with_its_type(service: ServiceProcess) -> None:
    assert service.request("PUT", BART, chunks(SIZE), Content_Type="image/png").status == 204
    answer = service.get(BART)
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(b"".join(chunks(SIZE))).digest()
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(SIZE)
    head = service.request("HEAD", BART)
    assert head.lasting_headers == answer.lasting_headers
    assert service.get(BART, If_None_Match=answer.headers["etag"]).status == 304


def test_an_object_may_be_empty_removed_and_absent(service: ServiceProcess) -> None:
    assert service.post(BART, b"").status == 204
    empty = service.get(BART)
    assert (empty.status, empty.body) == (200, b"")
    assert empty.headers["content-type"] == "application/octet-stream"
    assert service.request("DELETE", BART).status == 204
    assert service.get(BART).problem["code"] == "not-found"
    assert service.request("HEAD", BART).status == 404
    assert service.request("DELETE", BART).status == 204


def test_curls_form_default_is_not_taken_for_the_objects_type(service: ServiceProcess) -> None:
    service.post(BART, b"x=1", Content_Type="application/x-www-form-urlencoded")
    assert service.get(BART).headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("field", "value", "media_type"),
    [
        ("type", "text/x\r\nA: b", "application/octet-stream"),
        ("type", "te\u20ac/x", "application/octet-stream"),
        ("type", "te\u00e9/x", "application/octet-stream"),
        ("type", "", "application/octet-stream"),
        ("type", 7, "application/octet-stream"),
        ("type", "text/y", "text/y"),
        ("tag", "a\r\nA: b", "text/x"),
        ("tag", "", "text/x"),
        ("tag", 7, "text/x"),
    ],
)
def test_a_record_that_another_program_edited_does_no_harm(
    service: ServiceProcess, field: str, value: object, media_type: str
) -> None:
    tag = service.post(BART, b"ay caramba", Content_Type="text/x").headers["etag"]
    file = service.directory / "springfield-data" / "bart"
    record = json.loads(os.getxattr(file, "user.springfield"))
    os.setxattr(file, "user.springfield", json.dumps({**record, field: value}).encode())
    read = service.get(BART)
    assert (read.status, read.body) == (200, b"ay caramba")
    assert read.headers["etag"] == tag
    assert field == "tag" or read.headers["content-type"] == media_type
    assert "a" not in read.headers


def test_an_upload_that_is_cut_leaves_the_old_object(service: ServiceProcess) -> None:
    service.post(BART, b"old")
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(
            b"PUT /api/v1/bart HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        )
        client.sendall(b"n" * 500_000)
    assert service.get(BART).body == b"old"
    assert "defect" not in service.errors()
    leftovers = [path.name for path in (service.directory / "springfield-data").glob("*bart*tmp*")]
    assert leftovers == []


def test_a_writer_that_is_refused_leaves_the_old_object(service: ServiceProcess) -> None:
    service.post(BART, b"old")
    assert service.post(BART, b"new", Content_Encoding="gzip").status == 415
    for media_type in ("text/plain; a=" + "x" * 1024, "foo", "text/plain,text/html"):
        assert service.post(BART, b"new", Content_Type=media_type).status == 415
    for odd in ('text/plain; a="\xe9"', 'text/plain; a="\t"'):  # well, but no store keeps it
        answer = service.post(BART, b"new", Content_Type=odd)
        assert (answer.status, answer.problem["code"]) == (422, "not-storable")
    assert service.post(BART, b"new", If_Match='"x"').status == 412
    assert service.post(BART + "?ttl=5", b"new").status == 422
    assert service.get(BART).body == b"old"


def test_a_media_type_with_tabs_between_its_parts_is_kept(service: ServiceProcess) -> None:
    assert service.post(BART, b"x", Content_Type='text/plain\t;\ta="b;c"').status == 204
    assert service.get(BART).headers["content-type"] == 'text/plain; a="b;c"'


@pytest.mark.parametrize("end", ["deadline", "gone"])
def test_a_download_that_breaks_off_is_over_and_costs_a_line(
    engine: str, end: str, tmp_path: Path
) -> None:
    deadline = "0.3" if end == "deadline" else "60"
    flags = (f"--engine={engine}", "--log-level=info", "--slow-request=60")
    with running(tmp_path, *flags) as service:
        assert service.request("PUT", BART, b"x" * SIZE).status == 204
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
            client.sendall(
                f"GET {BART} HTTP/1.1\r\nHost: localhost\r\nX-Request-Timeout: {deadline}\r\n\r\n".encode()
            )
            head = client.recv(1000)
            assert head.startswith(b"HTTP/1.1 200 OK")
            if end == "deadline":
                time.sleep(float(deadline))  # nothing of the object is taken until then
                with contextlib.suppress(ConnectionResetError):
                    while client.recv(1 << 20):
                        pass  # it ends: the answer is cut
        wait_for(lambda: '"method": "GET"' in service.errors())
    lines = [json.loads(line) for line in service.errors().splitlines()]
    (request,) = [line for line in lines if line.get("method") == "GET"]
    assert request["status"] == (200 if end == "deadline" else 499)
    assert any(line["event"].startswith("stopping: 0 requests in flight") for line in lines)
    others = [line for line in lines if line["level"] != "info"]
    assert len(others) == (end == "deadline"), others
    assert all(line["level"] == "warning" for line in others)


def test_who_waits_to_continue_is_refused_before_the_body(service: ServiceProcess) -> None:
    service.post("/api/v1/bart", b"old")
    for field in (b'If-Match: "other"', b"If-None-Match: *"):
        with socket.create_connection(("127.0.0.1", service.port)) as sock:
            sock.settimeout(10)
            sock.sendall(
                b"PUT /api/v1/bart HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                b"Content-Length: 3\r\n" + field + b"\r\n\r\n"
            )
            assert sock.recv(65536).startswith(b"HTTP/1.1 412 ")
    with socket.create_connection(("127.0.0.1", service.port)) as sock:
        sock.settimeout(10)
        sock.sendall(
            b"PUT /api/v1/bart HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Length: 3\r\n\r\n"
        )
        assert sock.recv(65536).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"new")
        assert sock.recv(65536).startswith(b"HTTP/1.1 204 ")
    assert service.get("/api/v1/bart").body == b"new"

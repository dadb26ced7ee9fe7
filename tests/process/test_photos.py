"""A collection of objects: any number of photos under one prefix of a bucket."""

import json
from collections.abc import Iterator
from functools import partial

import pytest

from tests.servers.s3 import S3Server
from tests.service import ServiceProcess, running

BODY = bytes(range(256)) * 40_000  # 10 MB: more than one part


@pytest.fixture
def photos(
    s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    resources = {"photos": {"kind": "objects", "url": f"s3://{s3_server.bucket}/album/"}}
    environment = {
        "SPRINGFIELD_RESOURCES": json.dumps(resources),
        "AWS_ENDPOINT_URL_S3": s3_server.url,
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "SPRINGFIELD_STORE_TIMEOUT": "10",
    }
    with running(tmp_path_factory.mktemp("photos"), **environment) as service:
        yield service


def test_photos_are_kept_by_name(photos: ServiceProcess, s3_server: S3Server) -> None:
    for name in ("bart", "2026/lisa", "maggie%20%F0%9F%8D%BC"):
        path = f"/api/v1/photos/{name}"
        assert photos.get(path).problem["detail"].startswith("Missing object: photos/")
        written = photos.request("PUT", path, BODY, Content_Type="image/png")
        assert written.status == 204
        read = photos.get(path)
        assert (read.body, read.headers["content-type"]) == (BODY, "image/png")
        assert read.headers["etag"] == written.headers["etag"]
        part = photos.get(path, Range="bytes=1000-1999")
        assert (part.status, part.body) == (206, BODY[1000:2000])
        assert photos.request("PUT", path, b"new", If_Match='"other"').status == 412
        assert photos.request("PUT", path, b"new", If_None_Match="*").status == 412
        assert photos.get(path).body == BODY
    stored = s3_server.client().get_object(Bucket=s3_server.bucket, Key="album/2026/lisa")
    assert stored["Body"].read() == BODY
    names = json.loads(photos.get("/api/v1/photos").body)["names"]
    assert names == ["2026/lisa", "bart", "maggie 🍼"]
    for name in ("bart", "2026/lisa", "maggie%20%F0%9F%8D%BC"):
        assert photos.request("DELETE", f"/api/v1/photos/{name}").status == 204
    assert json.loads(photos.get("/api/v1/photos/").body)["names"] == []


def test_what_another_program_said_of_an_object_is_passed_on_as_far_as_http_can_say_it(
    photos: ServiceProcess, s3_server: S3Server
) -> None:
    put = partial(s3_server.client().put_object, Bucket=s3_server.bucket, Key="album/theirs")
    put(Body=b"\x1f\x8bzip", ContentType="text/css", ContentEncoding="gzip")
    path = "/api/v1/photos/theirs"
    read, head = photos.get(path), photos.request("HEAD", path)
    for answer in (read, head, photos.get(path, Accept_Encoding="identity")):
        assert answer.status == 200
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["content-type"] == "text/css"
    assert {**head.headers, "date": ""} == {**read.headers, "date": ""}
    part = photos.get(path, Range="bytes=1-2")
    assert (part.status, part.body, part.headers["content-encoding"]) == (206, b"\x8bz", "gzip")
    assert photos.get(path, If_None_Match=read.headers["etag"]).status == 304
    put(Body=b"x", ContentType="text/\u20ac")
    read = photos.get(path)
    assert (read.status, read.body) == (200, b"x")
    assert read.headers["content-type"] == "application/octet-stream"
    assert photos.request("PUT", path, b"new", Content_Type="text/css").status == 204
    assert "content-encoding" not in photos.get(path).headers
    assert photos.request("PUT", path, b"new", Content_Encoding="gzip").status == 415
    assert photos.request("DELETE", path).status == 204


def test_an_object_of_any_type_is_served_without_a_word_in_the_log(photos: ServiceProcess) -> None:
    path = "/api/v1/photos/typed"
    for media_type in ("multipart/form-data", "multipart/mixed; boundary=x", "message/rfc822"):
        assert photos.request("PUT", path, b"--x", Content_Type=media_type).status == 204
        for method in ("GET", "HEAD"):
            assert photos.request(method, path).headers["content-type"] == media_type
        part = photos.get(path, Range="bytes=1-1")
        assert (part.status, part.body) == (206, b"-")
    assert photos.request("DELETE", path).status == 204
    assert "Failed to parse headers" not in photos.errors()


def test_a_name_that_s3_cannot_keep_is_refused(photos: ServiceProcess) -> None:
    answer = photos.request("PUT", "/api/v1/photos/a//b", b"x")
    assert (answer.status, answer.problem["code"]) == (422, "not-storable")
    assert photos.get("/api/v1/photos/a//b").status == 404
    assert photos.request("PUT", "/api/v1/photos/%00", b"x").problem["code"] == "invalid-name"

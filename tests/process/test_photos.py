"""A collection of objects: any number of photos under one prefix of a bucket."""

import json
from collections.abc import Iterator

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


def test_a_name_that_s3_cannot_keep_is_refused(photos: ServiceProcess) -> None:
    answer = photos.request("PUT", "/api/v1/photos/a//b", b"x")
    assert (answer.status, answer.problem["code"]) == (422, "not-storable")
    assert photos.get("/api/v1/photos/a//b").status == 404
    assert photos.request("PUT", "/api/v1/photos/%00", b"x").problem["code"] == "invalid-name"

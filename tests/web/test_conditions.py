"""Preconditions, merge patches, lifetimes and negotiation over HTTP, on the embedded default."""

import time
from contextlib import closing
from email.utils import parsedate_to_datetime

import apsw
import pytest

from tests.service import ServiceProcess, running

BODY = {"homers": b'{"a":1}', "lisas": b"sax", "marges": b"\xff"}
OTHER = {"homers": b'{"a":2}', "lisas": b"jazz", "marges": b"\xfe"}


@pytest.fixture(params=["homers/conditional", "lisas/conditional", "marges/conditional", "bart"])
def path(request: pytest.FixtureRequest, service: ServiceProcess) -> str:
    path = f"/api/v1/{request.param}"
    service.request("DELETE", path)
    return path


def bodies(path: str) -> tuple[bytes, bytes]:
    resource = path.split("/")[3]
    return BODY.get(resource, b"ay"), OTHER.get(resource, b"caramba")


def test_a_write_gives_the_entity_tag_of_the_next_get(service: ServiceProcess, path: str) -> None:
    for method in ("POST", "PUT"):
        for body in bodies(path):
            tag = service.request(method, path, body).headers["etag"]
            assert service.get(path).headers["etag"] == tag
    first, second = bodies(path)
    tags = [service.post(path, body).headers["etag"] for body in (first, second, first)]
    assert tags[0] == tags[2] != tags[1]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_if_match_is_412_unless_the_item_has_the_tag(
    service: ServiceProcess, path: str, method: str
) -> None:
    first, second = bodies(path)
    absent = service.request(method, path, second, If_Match="*")
    assert (absent.status, absent.problem["code"]) == (412, "precondition-failed")
    tag = service.post(path, first).headers["etag"]
    for wrong in ('"other"', f"W/{tag}", '"a", "b"', '""'):
        assert service.request(method, path, second, If_Match=wrong).status == 412
    assert service.get(path).body == first
    assert service.request(method, path, second, If_Match=f'"a", {tag}').status == 204
    gone = service.get(path)
    assert (gone.status, gone.body) == (200, second) if method != "DELETE" else gone.status == 404
    service.post(path, first)
    assert service.request(method, path, second, If_Match="*").status == 204


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_if_none_match_is_412_when_the_item_is_there(
    service: ServiceProcess, path: str, method: str
) -> None:
    first, second = bodies(path)
    assert service.request("PUT", path, first, If_None_Match="*").status == 204
    tag = service.get(path).headers["etag"]
    for header in ("*", tag, f"W/{tag}", f'"a",{tag}'):
        assert service.request(method, path, second, If_None_Match=header).status == 412
    assert service.get(path).body == first
    assert service.request(method, path, second, If_None_Match='"other"').status == 204


def test_if_match_comes_before_if_none_match(service: ServiceProcess, path: str) -> None:
    tag = service.post(path, bodies(path)[0]).headers["etag"]
    both = {"If_Match": '"other"', "If_None_Match": tag}
    assert service.get(path, **both).status == 412
    assert service.get(path, If_Match=tag, If_None_Match=tag).status == 304
    assert service.get(path, If_Match=tag).status == 200
    assert service.get(path, If_Match='"other"').status == 412


@pytest.mark.parametrize("value", ["abc", '"a', 'a"', '"a" "b"', "W/*", '*, "a"', '"a\x7f"', ""])
def test_a_condition_that_cannot_be_understood_is_400(service: ServiceProcess, value: str) -> None:
    path = "/api/v1/lisas/misunderstood"
    for header in ("If_Match", "If_None_Match"):
        answer = service.request("PUT", path, b"x", **{header: value})
        assert answer.status == 400
    assert service.get(path).status == 404


def test_a_merge_patch_changes_a_part(service: ServiceProcess) -> None:
    path = "/api/v1/homers/patched"
    merge = {"Content_Type": "application/merge-patch+json"}
    assert service.request("PATCH", path, b"{}", **merge).status == 404
    # RFC 7396, section 3
    service.post(
        path,
        b'{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["a","b"],"content":"x"}',
    )
    patch = b'{"title":"Hello!","phoneNumber":"+01","author":{"familyName":null},"tags":["a"]}'
    patched = service.request("PATCH", path, patch, **merge)
    assert patched.status == 204
    read = service.get(path)
    assert (
        read.body
        == b'{"title":"Hello!","author":{"givenName":"John"},"tags":["a"],"content":"x","phoneNumber":"+01"}'
    )
    assert patched.headers["etag"] == read.headers["etag"]
    assert service.request("PATCH", path, b'{"a":1}', If_Match='"other"', **merge).status == 412
    assert service.request("PATCH", path, b"{", **merge).status == 400
    refused = service.request("PATCH", path, b"{}", Content_Type="application/json-patch+json")
    assert (refused.status, refused.headers["accept-patch"]) == (
        415,
        "application/merge-patch+json",
    )
    assert service.request("PATCH", "/api/v1/lisas/x", b"{}", **merge).status == 405
    assert service.get(path).body == read.body
    assert (
        service.request("OPTIONS", path).headers["accept-patch"] == "application/merge-patch+json"
    )


def by_another_program(service: ServiceProcess, statement: str, value: object) -> None:
    """Write to the embedded default."""
    with closing(
        apsw.Connection(str(service.directory / "springfield-data" / "springfield.db"))
    ) as file:
        file.set_busy_timeout(5000)
        file.execute(statement, (value,))


@pytest.mark.parametrize(
    ("stored", "patch", "merged"),
    [
        (
            b'{"a":-0,"b":1.10,"c": 1e2 ,"d":0.12345678901234567890123,"e":[1.50, -0.0]}',
            b'{"z":1.0}',
            b'{"a":-0,"b":1.10,"c":1e2,"d":0.12345678901234567890123,"e":[1.50, -0.0],"z":1.0}',
        ),
        (
            b'{"x":1}',
            b'{"a":' + b"1" * 5000 + b',"b":123456789012345678901234}',
            b'{"x":1,"a":' + b"1" * 5000 + b',"b":123456789012345678901234}',
        ),
        (b'{"x":' + b"9" * 5000 + b"}", b"{}", b'{"x":' + b"9" * 5000 + b"}"),
    ],
)
def test_a_patch_keeps_every_digit(
    service: ServiceProcess, stored: bytes, patch: bytes, merged: bytes
) -> None:
    path = "/api/v1/homers/digits"
    assert service.post(path, stored).status == 204
    assert service.request("PATCH", path, patch).status == 204
    assert service.get(path).body == merged


@pytest.mark.parametrize(
    ("stored", "patch", "reason"),
    [
        ('{"a":1,"a":2}', b'{"z":1}', 'the key "a" twice'),
        ('{"b":{"a":1,"a":2}}', b'{"z":1}', 'the key "a" twice'),
        ('{"a":1,"a":2}', b'{"a":3}', 'the key "a" twice'),
        ('{"a":"\\ud800"}', b'{"z":1}', "half of a surrogate pair"),
    ],
)
def test_a_patch_of_what_another_program_wrote_blames_the_stored_item(
    service: ServiceProcess, stored: str, patch: bytes, reason: str
) -> None:
    path = "/api/v1/homers/foreign"
    service.post(path, b"1")
    by_another_program(service, "UPDATE homers SET content = ? WHERE name = 'foreign'", stored)
    answer = service.request("PATCH", path, patch)
    assert (answer.status, answer.problem["code"]) == (422, "not-storable")
    assert "What the store holds as homer foreign" in answer.problem["detail"]
    assert reason in answer.problem["detail"]
    assert service.get(path).body == stored.encode()


def test_a_lifetime_ends_to_the_second_and_a_patch_keeps_it(service: ServiceProcess) -> None:
    path = "/api/v1/homers/mortal"
    assert service.post(path + "?ttl=2", b'{"a":1}').status == 204
    service.request("PATCH", path, b'{"b":2}')
    read = service.get(path)
    assert read.body == b'{"a":1,"b":2}'
    end = parsedate_to_datetime(read.headers["sunset"]).timestamp()
    assert time.time() < end <= time.time() + 3
    time.sleep(max(0.0, end - time.time()))
    assert service.get(path).status == 404
    assert service.request("PUT", path, b"1", If_Match="*").status == 412
    assert service.request("PUT", path, b"1", If_None_Match="*").status == 204
    assert "sunset" not in service.get(path).headers


@pytest.mark.parametrize(
    ("value", "sunset"),
    [
        (253402300799000, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (253402300799001, None),
        (2**62, None),
        ("soon", None),
    ],
)
def test_an_end_that_no_http_date_can_say_is_left_out(
    service: ServiceProcess, value: object, sunset: str | None
) -> None:
    path = "/api/v1/lisas/eternal"
    service.post(path, b"sax")
    by_another_program(service, "UPDATE lisas SET expires_at = ? WHERE name = 'eternal'", value)
    read = service.get(path)
    assert (read.status, read.body) == (200, b"sax")
    assert read.headers.get("sunset") == sunset
    assert service.get(path, If_None_Match=read.headers["etag"]).status == 304


@pytest.mark.parametrize("ttl", ["0", "-1", "x", "1.5", "", "99999999999", "%D9%A3", "%FF", "1%00"])
def test_a_lifetime_that_is_no_number_of_seconds_is_400(service: ServiceProcess, ttl: str) -> None:
    answer = service.post(f"/api/v1/lisas/immortal?ttl={ttl}", b"x")
    assert (answer.status, answer.problem["code"]) == (400, "invalid-parameter")
    assert service.get("/api/v1/lisas/immortal").status == 404


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("application/*;q=0.1, text/html", 200),
        ("text/html, */*;q=0.5", 200),
        ("text/html", 406),
        ("application/json;q=0, */*", 406),
        ("text/*, image/png", 406),
    ],
)
def test_accept_is_honoured(service: ServiceProcess, accept: str, status: int) -> None:
    service.post("/api/v1/homers/negotiated", b"1")
    for path in ("/api/v1/homers/negotiated", "/api/v1/homers"):
        answer = service.get(path, Accept=accept)
        assert (answer.status, answer.headers["vary"]) == (status, "Accept")


def test_a_resource_may_require_preconditions(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("strict"), "--require-precondition=lisas,bart") as service:
        for path in ("/api/v1/lisas/x", "/api/v1/bart"):
            for method in ("POST", "PUT", "DELETE"):
                answer = service.request(method, path, b"x")
                assert (answer.status, answer.problem["code"]) == (428, "precondition-required")
            assert service.request("PUT", path, b"x", If_None_Match="*").status == 204
        assert service.post("/api/v1/marges/x", b"x").status == 204


@pytest.mark.parametrize("path", ["/api/v1/bart", "/api/v1/lisas/part", "/api/v1/homers/part"])
@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH"])
def test_a_part_does_not_replace_the_whole(service: ServiceProcess, path: str, method: str) -> None:
    if method == "PATCH" and "homers" not in path:
        return
    assert service.post(path, b'{"a":1}').status == 204
    answer = service.request(method, path, b"1", Content_Range="bytes 0-0/7")
    assert (answer.status, answer.problem["code"]) == (400, "invalid-parameter")
    assert service.get(path).body == b'{"a":1}'


def test_a_range_of_an_object_is_served(service: ServiceProcess) -> None:
    body = bytes(range(256)) * 4
    tag = service.request("PUT", "/api/v1/bart", body).headers["etag"]
    for value, start, stop in (
        ("bytes=0-0", 0, 1),
        ("bytes=1000-", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=10-99999", 10, 1024),
        ("bytes=-99999", 0, 1024),
        ("bytes=10-99999999999999999999999", 10, 1024),
        ("bytes=00000000000000000000001010-", 1010, 1024),
    ):
        part = service.get("/api/v1/bart", Range=value)
        assert (part.status, part.body) == (206, body[start:stop])
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/1024"
        assert part.headers["content-length"] == str(stop - start)
        assert part.headers["etag"] == tag
    for ignored in ("bytes=5-4", "bytes=0-1,3-4", "lines=1-2", "bytes=x", "bytes=-"):
        assert service.get("/api/v1/bart", Range=ignored).status == 200
    for value in ("bytes=1024-", "bytes=-0", "bytes=99999999999999999999999-"):
        behind = service.get("/api/v1/bart", Range=value)
        assert (behind.status, behind.headers["content-range"]) == (416, "bytes */1024")
    assert service.get("/api/v1/bart", Range="bytes=0-1", If_Range=tag).status == 206
    assert service.get("/api/v1/bart", Range="bytes=0-1", If_Range='"other"').status == 200
    assert service.get("/api/v1/bart", Range="bytes=0-1", If_None_Match=tag).status == 304
    head = service.request("HEAD", "/api/v1/bart", None, Range="bytes=0-1")
    assert (head.status, head.headers["content-length"]) == (200, "1024")
    assert head.headers["accept-ranges"] == "bytes"


def test_the_end_of_an_empty_object_is_all_of_it(service: ServiceProcess) -> None:
    assert service.post("/api/v1/bart", b"").status == 204
    for value, status in (("bytes=-1", 200), ("bytes=-0", 416), ("bytes=0-", 416)):
        answer = service.get("/api/v1/bart", Range=value)
        assert answer.status == status, value

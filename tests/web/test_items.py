"""Named items over HTTP, on the real process and the embedded default."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.service import ServiceProcess
from tests.stores.place import NAMES

RESOURCES = {
    "homers": b'{"doh": [1, 2.50]}',
    "lisas": "sax é🍩\n".encode(),
    "marges": bytes(range(256)),
}
TYPES = {
    "homers": "application/json",
    "lisas": "text/plain; charset=utf-8",
    "marges": "application/octet-stream",
}


@pytest.mark.parametrize("resource", RESOURCES)
def test_what_was_posted_is_served(service: ServiceProcess, resource: str) -> None:
    written = service.post(f"/api/v1/{resource}/posted", RESOURCES[resource])
    assert (written.status, written.body) == (204, b"")
    assert "content-type" not in written.headers
    read = service.get(f"/api/v1/{resource}/posted")
    assert (read.status, read.body) == (200, RESOURCES[resource])
    assert read.headers["content-type"] == TYPES[resource]
    assert read.headers["cache-control"] == "no-cache"
    assert read.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("resource", RESOURCES)
def test_put_overwrites_and_delete_removes(service: ServiceProcess, resource: str) -> None:
    path = f"/api/v1/{resource}/put"
    assert service.post(path, b"1").status == 204
    assert service.request("PUT", path, b"2").status == 204
    assert service.get(path).body == b"2"
    assert service.request("DELETE", path).status == 204
    assert service.get(path).status == 404
    assert service.request("DELETE", path).status == 204


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_missing_item_is_named_in_the_problem(service: ServiceProcess, resource: str) -> None:
    answer = service.get(f"/api/v1/{resource}/no%20body")
    assert answer.status == 404
    assert answer.problem["detail"] == f"Missing {resource[:-1]}: no body"
    assert answer.problem["code"] == "not-found"
    assert answer.problem["instance"] == f"/api/v1/{resource}/no%20body"


@pytest.mark.parametrize("case", NAMES)
def test_the_name_is_all_of_the_path_percent_decoded(service: ServiceProcess, case: str) -> None:
    name = NAMES[case]
    path = "/api/v1/marges/" + quote(name, safe="/" if "slash" in case else "")
    assert service.post(path, name.encode()).status == 204
    assert service.get(path).body == name.encode()
    listed = json.loads(service.get("/api/v1/marges?limit=1000").body)["names"]
    assert name in listed
    assert service.request("DELETE", path).status == 204


def test_a_slash_and_its_escape_are_the_same_name(service: ServiceProcess) -> None:
    service.post("/api/v1/lisas/a/b", b"sax")
    assert service.get("/api/v1/lisas/a%2Fb").body == b"sax"
    assert service.get("/api/v1/lisas/a%2fb").body == b"sax"
    assert service.get("/api/v1/lisas/a/b?query=ignored").body == b"sax"
    assert service.get("/api/v1/lisas/a+b").status == 404


def test_a_path_that_is_not_ascii_is_400_and_not_another_name(service: ServiceProcess) -> None:
    service.post("/api/v1/lisas/caf%C3%A9", b"sax")
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall("GET /api/v1/lisas/café HTTP/1.0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"bad-request"' in answer


@pytest.mark.parametrize(
    "name",
    [
        "%00",
        "a%0Ab",
        "%7F",
        "%C2%85",
        "%ff",
        "%ED%A0%80",
        "%C0%AF",
        "n" * 513,
        "%F0%9F%8D%A9" * 129,
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_name_that_is_not_allowed_is_400(service: ServiceProcess, name: str, method: str) -> None:
    answer = service.request(method, f"/api/v1/marges/{name}", b"x" if method == "POST" else None)
    assert answer.status == 400
    assert answer.problem["code"] == "invalid-name"


def test_invalid_json_is_400_that_says_where_and_nothing_is_lost(service: ServiceProcess) -> None:
    service.post("/api/v1/homers/kept", b'{"a": 1}')
    for body, words in (
        (b'{"a": \n  oops}', "line 2 column 3"),
        (b"\xff", "byte 0"),
        (b"", "line 1 column 1"),
    ):
        answer = service.post("/api/v1/homers/kept", body)
        assert answer.status == 400
        assert words in answer.problem["detail"]
    assert service.get("/api/v1/homers/kept").body == b'{"a": 1}'


def test_json_nested_too_deep_is_422(service: ServiceProcess) -> None:
    answer = service.post("/api/v1/homers/deep", b"[" * 101 + b"]" * 101)
    assert (answer.status, answer.problem["code"]) == (422, "not-storable")
    assert service.get("/api/v1/homers/deep").status == 404


def test_text_that_is_not_utf_8_is_400(service: ServiceProcess) -> None:
    answer = service.post("/api/v1/lisas/latin", b"caf\xe9")
    assert (answer.status, answer.problem["code"]) == (400, "invalid-content")


LIMIT = 1024 * 1024


def test_a_body_at_the_limit_is_kept_and_one_byte_more_is_413(service: ServiceProcess) -> None:
    path = "/api/v1/marges/large"
    assert service.post(path, b"x" * LIMIT).status == 204
    refused = service.post(path, b"y" * (LIMIT + 1))
    assert (refused.status, refused.problem["code"]) == (413, "too-large")
    assert service.get(path).body == b"x" * LIMIT


def test_a_chunked_body_over_the_limit_is_413(service: ServiceProcess) -> None:
    def chunks(size: int) -> Iterator[bytes]:
        for _ in range(size // 4096):
            yield b"y" * 4096

    path = "/api/v1/marges/chunked"
    assert service.request("POST", path, chunks(LIMIT)).status == 204
    assert service.request("POST", path, chunks(LIMIT + 4096)).problem["code"] == "too-large"
    assert service.request("POST", path, chunks(LIMIT * 3)).problem["code"] == "too-large"
    assert service.get(path).body == b"y" * LIMIT


def test_a_body_that_is_announced_as_too_large_is_refused_before_it_is_sent(
    service: ServiceProcess,
) -> None:
    for expect in ("", "Expect: 100-continue\r\n"):
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as client:
            head = f"POST /api/v1/marges/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {10**12}\r\n{expect}\r\n"
            client.sendall(head.encode())
            answer = client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert b"too-large" in answer


def test_expect_100_continue_is_answered_before_the_body(service: ServiceProcess) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as client:
        client.sendall(
            b"PUT /api/v1/marges/expected HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"doh")
        assert client.recv(65536).startswith(b"HTTP/1.1 204 ")
    assert service.get("/api/v1/marges/expected").body == b"doh"


@pytest.mark.parametrize(
    ("resource", "media_type", "status"),
    [
        ("homers", "application/json", 204),
        ("homers", "application/json; charset=UTF-8", 204),
        ("homers", "application/vnd.doh+json", 204),
        ("homers", "application/x-www-form-urlencoded", 204),
        ("homers", "application/octet-stream", 204),
        ("homers", "application/xml", 415),
        ("homers", "multipart/form-data; boundary=x", 415),
        ("homers", "application/json; charset=utf-16", 415),
        ("lisas", "text/plain; charset=utf-8", 204),
        ("lisas", "text/plain; charset=latin-1", 415),
        ("lisas", "application/json", 415),
        ("marges", "application/octet-stream", 204),
        ("marges", "application/json", 415),
        ("homers", "application/merge-patch+json", 415),
        ("homers", "application/json-patch+json", 415),
        ("lisas", "foo", 415),
        ("lisas", "a/b/c", 415),
        ("lisas", "text/plain,application/xml", 415),
        ("lisas", 'text/plain; a="' + ";" * 60_000, 415),
    ],
)
def test_another_explicit_structured_type_is_415(
    service: ServiceProcess, resource: str, media_type: str, status: int
) -> None:
    answer = service.post(f"/api/v1/{resource}/typed", b"1", Content_Type=media_type)
    assert answer.status == status
    assert status == 204 or answer.problem["code"] == "unsupported-media-type"


def test_a_form_is_not_parsed_but_taken_as_it_is(service: ServiceProcess) -> None:
    form = "application/x-www-form-urlencoded"
    assert service.post("/api/v1/lisas/form", b"a=1&b=%20", Content_Type=form).status == 204
    assert service.get("/api/v1/lisas/form").body == b"a=1&b=%20"


def test_a_content_encoding_is_415(service: ServiceProcess) -> None:
    answer = service.post("/api/v1/marges/zipped", b"x", Content_Encoding="gzip")
    assert answer.problem["code"] == "unsupported-media-type"
    assert (
        service.post("/api/v1/marges/zipped", b"x", Content_Encoding="identity, gzip").status == 415
    )


@pytest.mark.parametrize("encoding", ["", ",", "identity", ",Identity, "])
def test_a_content_encoding_that_names_no_coding_is_taken(
    service: ServiceProcess, encoding: str
) -> None:
    path = "/api/v1/marges/plain"
    assert service.post(path, b"x", Content_Encoding=encoding).status == 204


def test_an_entity_tag_answers_304(service: ServiceProcess) -> None:
    service.post("/api/v1/lisas/tagged", b"sax")
    tag = service.get("/api/v1/lisas/tagged").headers["etag"]
    assert tag.startswith('"')
    for header in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        unchanged = service.get("/api/v1/lisas/tagged", If_None_Match=header)
        assert (unchanged.status, unchanged.body) == (304, b"")
        assert unchanged.headers["etag"] == tag
    assert service.get("/api/v1/lisas/tagged", If_None_Match='"other"').status == 200


def test_head_has_the_headers_of_get_and_no_body(service: ServiceProcess) -> None:
    service.post("/api/v1/lisas/headed", b"sax")
    for path in (
        "/api/v1/lisas/headed",
        "/api/v1/lisas/nobody",
        "/api/v1/flanders",
        "/api/v1/lisas",
    ):
        get, head = service.get(path), service.request("HEAD", path)
        assert head.body == b""
        assert head.lasting_headers == get.lasting_headers


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/api/v1/homers/x", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("/api/v1/homers", "GET, HEAD, OPTIONS"),
        ("/api/v1/bart", "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
        ("/api/v1/flanders", "GET, HEAD, OPTIONS"),
        ("/api/v1/maggie", "GET, HEAD, OPTIONS"),
        ("/api/v1/healthcheck", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_is_not_there_is_405_with_allow(
    service: ServiceProcess, path: str, allow: str
) -> None:
    for method in {"PATCH", "TRACE", "POST", "DELETE"} - set(allow.split(", ")):
        answer = service.request(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, allow)
        assert answer.problem["code"] == "method-not-allowed"
    options = service.request("OPTIONS", path)
    assert (options.status, options.headers["allow"]) == (204, allow)


def test_names_are_listed_by_prefix_and_page(service: ServiceProcess) -> None:
    names = [f"page/{number:02}" for number in range(25)]
    for name in names:
        service.post(f"/api/v1/lisas/{name}", b"x")
    listed: list[str] = []
    cursor = ""
    while cursor is not None:
        page = service.get(f"/api/v1/lisas/?prefix=page/&limit=10{cursor and '&cursor=' + cursor}")
        answer = json.loads(page.body)
        listed += answer["names"]
        cursor = answer["next"]
        following = f'<{next_of(answer)}>; rel="next"' if cursor else None
        assert page.headers.get("link") == following
    assert listed == names


def next_of(answer: dict[str, Any]) -> str:
    query = urlencode({"prefix": "page/", "limit": 10, "cursor": answer["next"]})
    return f"/api/v1/lisas/?{query}"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=000000000000",
        "limit=000000001001",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "limit=99999999999999999999",
        "limit=%FF",
        "limit=%D9%A3",
        "limit=",
        "cursor=doh",
        "cursor=%00",
        "cursor=%FF",
        "cursor=",
        "prefix=%FF",
        "prefix=a%ED%A0%80",
        "prefix=%C3",
        "prefix=a&prefix=b",
        "limit=5%00",
        "prefix=100%",
        "prefix=%zz",
        "cursor=YQ%",
        "limit=%205",
    ],
)
def test_a_query_without_meaning_is_400(service: ServiceProcess, query: str) -> None:
    for path in ("/api/v1/homers", "/api/v1/lisas", "/api/v1/marges"):
        answer = service.get(f"{path}?{query}")
        assert (answer.status, answer.problem["code"]) == (400, "invalid-parameter")


def test_a_limit_may_have_leading_zeros(service: ServiceProcess) -> None:
    assert service.get("/api/v1/lisas?limit=00000000010").status == 200


@pytest.mark.parametrize("query", ["prefix=%01", "prefix=" + "x" * 600, "prefix=%F0%9F%8D%AA"])
def test_a_prefix_that_no_name_has_gives_an_empty_page(service: ServiceProcess, query: str) -> None:
    service.post("/api/v1/lisas/%20spaced", b"x")
    answer = service.get(f"/api/v1/lisas?{query}")
    assert (answer.status, json.loads(answer.body)) == (200, {"names": [], "next": None})

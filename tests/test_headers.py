import copy

import pytest
from tornado.httputil import HTTPHeaders

from springfield.headers import Headers, canonical, canonical_of

LINES = [("Accept", "text/plain"), ("X-Seen-By", "a"), ("X-Seen-By", "b"), ("X-Seen-By", "c")]


def made(kind: type[HTTPHeaders]) -> HTTPHeaders:
    headers = kind()
    for name, value in LINES:
        headers.add(name.lower(), value)
    return headers


@pytest.fixture
def headers() -> HTTPHeaders:
    return made(Headers)


@pytest.mark.parametrize("name", ["ACCEPT", "accept", "Accept"])
def test_a_name_is_found_in_any_case(headers: HTTPHeaders, name: str) -> None:
    assert headers[name] == headers.get(name) == "text/plain"
    assert name in headers
    assert headers.get_list(name) == ["text/plain"]


def test_it_holds_what_tornados_own_would(headers: HTTPHeaders) -> None:
    tornados = made(HTTPHeaders)
    assert dict(headers) == dict(tornados)
    assert list(headers.get_all()) == list(tornados.get_all()) == LINES
    assert str(headers) == str(tornados)
    assert len(headers) == len(tornados) == 2
    assert headers.get_list("x-seen-by") == tornados.get_list("x-seen-by") == ["a", "b", "c"]


def test_setting_and_deleting_take_all_lines_of_a_field(headers: HTTPHeaders) -> None:
    headers["x-seen-by"] = "d"
    assert headers.get_list("X-Seen-By") == ["d"]
    headers.add("X-Seen-By", "e")
    del headers["X-SEEN-BY"]
    assert "X-Seen-By" not in headers
    assert headers.get("X-Seen-By", "none") == "none"
    assert headers.get_list("X-Seen-By") == []
    with pytest.raises(KeyError):
        headers["X-Seen-By"]


def test_a_copy_is_another(headers: HTTPHeaders) -> None:
    for copied in (headers.copy(), copy.copy(headers)):
        copied.add("X-Seen-By", "d")
        copied["Accept"] = "image/png"
    assert list(headers.get_all()) == LINES


def test_names_are_written_as_tornado_writes_them() -> None:
    for name in ("content-TYPE", "x-request-timeout", "te", "a--b", "É"):
        expected = next(iter(HTTPHeaders({name: "1"})))
        assert canonical(name) == canonical_of(name.encode("latin-1")) == expected

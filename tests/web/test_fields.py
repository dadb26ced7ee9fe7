"""The grammar of header fields, by itself."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from springfield.errors import SpringfieldError
from springfield.headers import Headers
from springfield.model import Kind
from springfield.web.conditions import precondition_of, seconds_to_wait
from springfield.web.fields import Malformed, media_type_of, preferences_of, split
from springfield.web.media import check_media_type, require_acceptable
from springfield.web.problems import HTTPRefusal


def test_a_list_is_split_outside_quoted_strings() -> None:
    assert split(r'a, "b,\"c,", ,d', ",") == ["a", r'"b,\"c,"', "d"]
    assert split('a; "b;', ";") == ["a", '"b;']
    assert split('a; "b\\', ";") == ["a", '"b\\']
    assert split(" ", ",") == []


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("text/plain", ("text/plain", {})),
        ("Text/HTML;Charset=UTF-8 ;", ("text/html", {"charset": "UTF-8"})),
        ("text/plain \t;\tcharset=utf-8\t;", ("text/plain", {"charset": "utf-8"})),
        ('a/b; x="\t\xe9\\\xe9\\\t"', ("a/b", {"x": "\t\xe9\xe9\t"})),
        (r'a/b; x="\"; y=1"; z=2', ("a/b", {"x": '"; y=1', "z": "2"})),
    ],
)
def test_a_media_type_is_parsed(value: str, parsed: object) -> None:
    assert media_type_of(value) == parsed


@pytest.mark.parametrize(
    "value",
    [
        "foo",
        "a/b/c",
        "a/",
        "/b",
        "a/b c/d",
        "a/b, c/d",
        "a/b; c",
        "a/b; c =d",
        'a/b; c="d',
        ";a/b",
        "\xe9/b",
        "a/b; \xe9=c",
        "a/b; c=\xe9",
        'a/b; c="\x00"',
        'a/b; c="\x7f"',
        "a\t/b",
        "a/b;\xa0c=d",
        'a/b; c="\\\x01"',
        'a/b; c="\u0663"',
    ],
)
def test_what_is_no_media_type_is_malformed(value: str) -> None:
    with pytest.raises(Malformed):
        media_type_of(value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("wait=3", 3),
        ("Wait = 3", 3),
        ('wait="3"; x=1', 3),
        ("respond-async, wait=3", 3),
        ("respond-async;, wait=3, wait=5", 3),
        ('x="a, wait=3"', 0),
        ("respond-async; wait=3", 0),
        ("wait=x", 0),
        ("wait", 0),
        ("wait=1e3", 0),
        ("wait=\u0663", 0),
        ("waiting=3", 0),
        ("", 0),
    ],
)
def test_the_preference_wait_is_found_and_nothing_else_taken_for_it(
    value: str, seconds: int
) -> None:
    assert seconds_to_wait(Headers({"Prefer": value}), 60) == seconds


def test_preferences_have_the_value_that_comes_first() -> None:
    assert preferences_of("a=1;x, b, A=2") == {"a": "1", "b": ""}


READERS: dict[str, Callable[[Headers], object]] = {
    "Content-Type": lambda headers: check_media_type(Kind.TEXT, headers),
    "Prefer": lambda headers: seconds_to_wait(headers, 60),
    "If-Match": precondition_of,
    "Accept": lambda headers: require_acceptable(headers, "text/plain"),
}


@pytest.mark.parametrize("field", READERS)
@pytest.mark.parametrize(
    "piece",
    [";", ",", "; ", " ,", '"', '\\"', '"\\', "a", ";a=b", ',"a"', "wait ", '"a",', "text/*"],
)
@pytest.mark.parametrize("start", ["", 'text/plain; a="', '"'])
def test_no_field_costs_more_than_in_proportion_to_its_length(
    field: str, start: str, piece: str
) -> None:
    def seconds(size: int) -> float:
        headers = Headers({field: start + piece * (size // len(piece))})
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            with suppress(HTTPRefusal, SpringfieldError):
                READERS[field](headers)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(30_000) < 60 * seconds(2_000) + 0.01  # 15 times as long; squared, 225 times

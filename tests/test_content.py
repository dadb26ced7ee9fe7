import time

import pytest

from springfield.content import HugeInteger, check_content, check_stored, parse_json
from springfield.errors import InvalidContent, NotStorable
from springfield.model import Kind


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            b' {"a": [1, 2.5, null, true, "\\u00e9\\ud83c\\udf69"]} ',
            {"a": [1, 2.5, None, True, "é🍩"]},
        ),
        (b"-0.0", -0.0),
        (b'"x"', "x"),
        (b'{"a":{"b":1},"c":{"b":2}}', {"a": {"b": 1}, "c": {"b": 2}}),
        (b"[" * 100 + b"]" * 100, None),
        (b'"' + b"[" * 500 + b'"', "[" * 500),
    ],
)
def test_json_is_parsed(text: bytes, value: object) -> None:
    assert value is None or parse_json(text) == value
    check_content(Kind.JSON, text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "line 1 column 1"),
        (b'{"a": 1,\n "b": }', "line 2 column 7"),
        (b"{'a': 1}", "double quotes"),
        (b"[1,]", "not JSON"),
        (b"[NaN]", "NaN"),
        (b"-Infinity", "Infinity"),
        (b'{"a":1,"b":{"c":1,"c":2}}', '"c" twice'),
        (b'["\\ud800"]', "surrogate"),
        (b'["\\udf69\\ud83c"]', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'"\xff"', "byte 1"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b'\xef\xbb\xbf"x"', "byte order mark"),
        ('"x"'.encode("utf-16"), "UTF-8"),
        (b'"tab\there"', "control character"),
        (b"1 2", "Extra data"),
        (b"01", "not JSON"),
        (b"\x0c1", "not JSON"),
    ],
)
def test_what_is_not_json_is_refused_with_the_place(text: bytes, reason: str) -> None:
    with pytest.raises(InvalidContent, match=reason):
        parse_json(text)


@pytest.mark.parametrize("depth", [101, 1_000, 100_000])
@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_json_nested_too_deep_is_refused(depth: int, pair: str) -> None:
    opening, closing = pair[:-1], pair[-1]
    with pytest.raises(NotStorable, match="deeper than 100"):
        parse_json((opening * depth + "1" + closing * depth).encode())


def test_an_integer_of_any_length_is_json() -> None:
    assert parse_json(b"12345678901234567890123") == 12345678901234567890123
    assert isinstance(parse_json(b"[" + b"9" * 5000 + b"]")[0], HugeInteger)


def test_many_duplicate_keys_are_refused_in_linear_time() -> None:
    keys = ",".join(f'"{number}":0' for number in range(90_000))
    started = time.perf_counter()
    with pytest.raises(InvalidContent, match="twice"):
        parse_json(f'{{{keys},"89999":1}}'.encode())
    assert time.perf_counter() - started < 5


def test_stored_json_is_served_even_with_duplicate_keys() -> None:
    check_stored(Kind.JSON, b'{"a":1,"a":2}')
    check_stored(Kind.BYTES, b"\xff")
    for broken in (b"", b"{", b"[NaN]", b"\xff", b"[" * 100_000):
        with pytest.raises(InvalidContent):
            check_stored(Kind.JSON, broken)
    with pytest.raises(InvalidContent):
        check_stored(Kind.TEXT, b"\xff")

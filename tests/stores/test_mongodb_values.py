"""JSON, text and bytes become BSON and come back; what BSON cannot hold is refused."""

import json
from typing import Any

import bson
import pytest
from bson import Binary, Code, DatetimeMS, DBRef, MaxKey, MinKey

from springfield.errors import NotStorable, Unreadable
from springfield.model import Item, Kind
from springfield.stores.mongodb.values import DOCUMENT_LIMIT, decode_document, encode_content


def stored(value: Any) -> bytes:
    return bson.encode({"name": "homer", "content": value})


def round_trip(kind: Kind, content: bytes) -> Item | Unreadable:
    return decode_document(kind, bytes(encode_content(kind, content).raw))[1]


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "-0.0",
        "[0,-0.0,1.0,1e+16,5e-324,1.7976931348623157e+308,0.1]",
        "[9223372036854775807,-9223372036854775808,2147483648,-2147483649]",
        '{"z":1,"a":{"z":1,"a":2},"":{"":3}}',
        '{"a":1,"$ref":"c","b":{"$db":"d","$ref":"c","$id":[1]},"$id":{"$set":"x"}}',
        '["a\\u0000b","\\u2028🍩",{"a.b":{".":1}}]',
        "[" * 100 + "]" * 100,
    ],
)
def test_json_comes_back_exactly(text: str) -> None:
    item = round_trip(Kind.JSON, text.encode())
    assert isinstance(item, Item)
    assert repr(json.loads(item.content, object_pairs_hook=list)) == repr(
        json.loads(text, object_pairs_hook=list)
    )
    assert b" " not in item.content


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.BYTES])
def test_text_and_bytes_come_back_exactly(kind: Kind) -> None:
    content = "a\0b \r\n🍩\ufeff".encode()
    assert round_trip(kind, content) == Item(content)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("9223372036854775808", "beyond signed 64 bits"),
        ("[-9223372036854775809]", "beyond signed 64 bits"),
        ("9" * 5000, "beyond signed 64 bits"),
        ("1e309", "too large for a double"),
        ('{"a":-1e400}', "too large for a double"),
        ('{"a":[{"b\\u0000":1}]}', r"U\+0000"),
        ('{"$oid":"6b02bbe47fe7973a816af855"}', r"the key \$oid"),
        ('[[{"a":{"$date":"x"}}]]', r"the key \$date"),
        ('{"\\u0024numberLong":"5"}', r"the key \$numberLong"),
    ],
)
def test_what_bson_cannot_hold_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(NotStorable, match=sentence):
        encode_content(Kind.JSON, text.encode())


def test_content_over_16_mib_is_refused_before_it_is_sent() -> None:
    with pytest.raises(NotStorable, match="16 MiB"):
        encode_content(Kind.BYTES, bytes(DOCUMENT_LIMIT))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("inf"), '{"$numberDouble":"Infinity"}'),
        ([float("-inf"), 2**40], '[{"$numberDouble":"-Infinity"},1099511627776]'),
        (DatetimeMS(2**60), '{"$date":{"$numberLong":"1152921504606846976"}}'),
        (DatetimeMS(-1), '{"$date":{"$numberLong":"-1"}}'),
        (Code("a", {"b": 1}), '{"$code":"a","$scope":{"b":1}}'),
        (Binary(bytes(16), 4), '{"$binary":{"base64":"AAAAAAAAAAAAAAAAAAAAAA==","subType":"04"}}'),
        ([MinKey(), MaxKey()], '[{"$minKey":1},{"$maxKey":1}]'),
        (DBRef("c", 1, "d"), '{"$ref":"c","$id":1,"$db":"d"}'),
    ],
)
def test_what_json_has_no_form_for_is_relaxed_extended_json(value: Any, text: str) -> None:
    assert decode_document(Kind.JSON, stored(value)) == ("homer", Item(text.encode()))


@pytest.mark.parametrize("kind", list(Kind))
def test_a_string_that_is_not_utf8_is_unreadable(kind: Kind) -> None:
    broken = stored({"a": "doh"}).replace(b"doh", b"d\xffh")
    name, item = decode_document(kind, broken)
    assert name == "homer"
    assert isinstance(item, Unreadable)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_document_without_content_is_unreadable(kind: Kind) -> None:
    name, item = decode_document(kind, bson.encode({"name": "homer"}))
    assert name == "homer"
    assert isinstance(item, Unreadable)
    assert "no field `content`" in str(item)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Kind.TEXT, b"doh"), (Kind.TEXT, Code("doh")), (Kind.TEXT, None), (Kind.BYTES, "doh")],
)
def test_a_value_of_another_type_is_unreadable(kind: Kind, value: Any) -> None:
    assert isinstance(decode_document(kind, stored(value))[1], Unreadable)

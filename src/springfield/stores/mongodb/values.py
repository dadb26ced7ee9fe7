"""In charge of the two forms of an item: the bytes that a GET serves, and BSON in `content`.

What BSON cannot hold exactly is refused. What JSON has no form for (dates, ObjectIds, …), written
by other programs, is served as relaxed Extended JSON v2; sent back, it is refused, because stored as
an object it would no longer be the date that the other program wrote.
"""

import json
from typing import Any

import bson
from bson import json_util
from bson.code import Code
from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry
from bson.errors import InvalidBSON, InvalidDocument
from bson.raw_bson import RawBSONDocument

from springfield.errors import NotStorable, Unreadable
from springfield.model import Item, Kind
from springfield.stores.mongodb.lifetimes import FIELD, stored_end

DOCUMENT_LIMIT = 16 * 1024 * 1024
"""The largest document, in bytes of BSON, that MongoDB takes."""

_EXTENDED = json_util.RELAXED_JSON_OPTIONS

_EXTENDED_KEYS = frozenset(
    [
        "$binary",
        "$code",
        "$date",
        "$dbPointer",
        "$maxKey",
        "$minKey",
        "$numberDecimal",
        "$numberDouble",
        "$numberInt",
        "$numberLong",
        "$oid",
        "$regularExpression",
        "$symbol",
        "$timestamp",
        "$undefined",
        "$uuid",
    ]
)
"""https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md"""


class ExtendedKey(NotStorable):
    """The content has a key of Extended JSON."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The content has the key {key}, as a date or another BSON type has when it is served: "
            "stored, it would be an object. Use another key."
        )
        self.key = key


def encode_content(kind: Kind, content: bytes) -> RawBSONDocument:
    """Return `{"content": value}` as BSON; `content` has passed `check_content`.

    Raises NotStorable for integers beyond signed 64 bits, numbers beyond a double, keys with the
    character U+0000, keys of Extended JSON, and more than 16 MiB of BSON.
    """
    value: Any = content
    if kind is Kind.JSON:
        value = _parse(content)
        if b'"$' in content or b"\\u0024" in content:
            _refuse_extended(value)
    elif kind is Kind.TEXT:
        value = content.decode()
    try:
        document = bson.encode({"content": value})
    except OverflowError:
        raise _integer_too_large() from None
    except InvalidDocument:
        raise NotStorable(
            "The content has a key with the character U+0000, which MongoDB cannot hold."
        ) from None
    if len(document) > DOCUMENT_LIMIT:
        raise too_large()
    return RawBSONDocument(document)


def decode_document(kind: Kind, document: bytes) -> tuple[Any, Item | Unreadable]:
    """Return a stored document's `name`, whatever its type, and its item, or why there is none.

    The document itself is the item's `native`.
    """
    try:
        fields = _decode(document, _STRICT)
    except InvalidBSON:
        name = bson.decode(document, LENIENT).get("name")
        return name, _unreadable(name, "has a string that is not UTF-8")
    name = fields.get("name")
    if "content" not in fields:
        return name, _unreadable(name, "has no field `content`")
    content = _serve(kind, fields["content"])
    if content is None:
        wanted = "string" if kind is Kind.TEXT else "binary value"
        return name, _unreadable(name, f"holds no {wanted} in `content`")
    return name, Item(content, expires_at=stored_end(fields.get(FIELD)), native=document)


def _serve(kind: Kind, value: Any) -> bytes | None:
    if kind is Kind.JSON:
        return _render(value).encode()
    if kind is Kind.TEXT and isinstance(value, str):
        return value.encode()
    if kind is Kind.BYTES and isinstance(value, bytes):
        return bytes(value)
    return None


def too_large() -> NotStorable:
    """Say that a document would be over 16 MiB."""
    return NotStorable("The document would be larger than the 16 MiB that MongoDB takes.")


def _parse(content: bytes) -> Any:
    try:
        return _DECODER.decode(content.decode())
    except json.JSONDecodeError:
        raise
    except ValueError:  # the standard library converts integers of up to 4,300 digits
        raise _integer_too_large() from None


def has_extended_key(content: bytes) -> bool:
    """Tell whether JSON that was served shows a type that JSON does not have."""
    try:
        _refuse_extended(_parse(content))
    except ExtendedKey:
        return True
    return False


def _refuse_extended(value: Any) -> None:
    level = [value]
    while level:
        objects = [each for each in level if isinstance(each, dict)]
        extended = _EXTENDED_KEYS.intersection(key for each in objects for key in each)
        if extended:
            raise ExtendedKey(min(extended))
        lists = [each for each in level if isinstance(each, list)]
        level = [child for each in objects for child in each.values()]
        level += [child for each in lists for child in each]


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NotStorable("The content has a number that is too large for a double (1.8e308).")
    return number


def _integer_too_large() -> NotStorable:
    return NotStorable(
        "The content has an integer beyond signed 64 bits, which MongoDB cannot hold; "
        "send it as a string."
    )


def _unreadable(name: Any, reason: str) -> Unreadable:
    return Unreadable(
        f"The MongoDB document named {name!r} {reason}; correct it, or serve it as another kind."
    )


def _decode(document: bytes, options: CodecOptions[dict[str, Any]]) -> dict[str, Any]:
    if b"$ref\0" in document:  # PyMongo makes a DBRef of such an object and loses its key order
        fields: dict[str, Any] = _thaw(bson.decode(document, RAW))
        return fields
    return bson.decode(document, options)


def _thaw(value: Any) -> Any:
    if isinstance(value, RawBSONDocument):
        return {key: _thaw(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_thaw(each) for each in value]
    return value


def _render(value: Any) -> str:
    try:
        return _ENCODER.encode(value)
    except ValueError:  # NaN or Infinity, which only Extended JSON can spell
        return json_util.dumps(
            value, json_options=_EXTENDED, ensure_ascii=False, separators=(",", ":")
        )


def _extend(value: Any) -> Any:
    return json_util.default(value, _EXTENDED)


class _CodeDecoder(TypeDecoder):
    """Takes Code out of the strings: it is a subclass of str, so JSON would show it as one."""

    bson_type = Code

    def transform_bson(self, value: Any) -> Any:
        """Return the Extended JSON form."""
        return _extend(value)


_REGISTRY = TypeRegistry([_CodeDecoder()])
_STRICT: CodecOptions[dict[str, Any]] = CodecOptions(
    type_registry=_REGISTRY, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
LENIENT = _STRICT.with_options(unicode_decode_error_handler="surrogateescape")
"""Reads names that are not UTF-8 as strings that are no legal names."""
RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    document_class=RawBSONDocument,
    type_registry=_REGISTRY,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
_DECODER = json.JSONDecoder(parse_float=_finite)
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_extend
)

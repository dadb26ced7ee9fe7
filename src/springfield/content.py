"""In charge of what content of each kind must be. The one rule for JSON, text and bytes."""

import json
import re
from collections.abc import Iterable
from typing import Any

from springfield.errors import InvalidContent, NotStorable
from springfield.model import Kind

DEPTH_LIMIT = 100
"""The deepest nesting of JSON arrays and objects that every store takes."""

MEDIA_TYPES = {
    Kind.JSON: "application/json",
    Kind.TEXT: "text/plain; charset=utf-8",
    Kind.BYTES: "application/octet-stream",
}

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89abABcdefCDEF]")


_INT64_DIGITS = len(str(-(2**63)))


class HugeInteger(int):
    """Stands for a JSON integer that is far beyond 64 bits, without its 4,300 and more digits."""


def check_content(kind: Kind, content: bytes) -> None:
    """Return when `content` is of this kind.

    Raises InvalidContent with the place of the first mistake, or NotStorable for JSON nested
    deeper than 100.
    """
    if kind is Kind.JSON:
        parse_json(content)
    elif kind is Kind.TEXT:
        decode_text(content)


def decode_text(content: bytes) -> str:
    """Decode UTF-8 strictly (no overlong forms, no surrogates: RFC 3629)."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidContent(f"The content is not UTF-8: byte {error.start} is wrong.") from None


def parse_json(content: bytes) -> Any:
    """Parse JSON text as RFC 8259 says; stricter than the standard library's parser.

    Refuses NaN and Infinity, duplicate keys, lone surrogates and a byte order mark.
    """
    text = decode_text(content)
    if text.startswith("\ufeff"):
        raise InvalidContent("The content begins with a byte order mark; JSON has none.")
    try:
        value = _load(text)
    except json.JSONDecodeError as error:
        raise InvalidContent(
            f"The content is not JSON: {error.msg} at line {error.lineno} column {error.colno}."
        ) from None
    except RecursionError:
        raise _too_deep() from None
    if text.count("[") + text.count("{") > DEPTH_LIMIT and _depth(value) > DEPTH_LIMIT:
        raise _too_deep()
    if _SURROGATE_ESCAPE.search(text):
        _refuse_lone_surrogates(value)
    return value


def check_stored(kind: Kind, content: bytes) -> None:
    """Return when stored `content` can be served as `kind`; raise InvalidContent otherwise.

    More lenient than `check_content`: what another program wrote with duplicate keys is JSON.
    """
    if kind is Kind.BYTES:
        return
    text = decode_text(content)
    if kind is Kind.JSON:
        try:
            _STORED.decode(text)
        except (ValueError, RecursionError) as error:
            raise InvalidContent(f"It is not JSON: {error}.") from None


def _load(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of over 4,300 digits: sys.set_int_max_str_digits
        return json.loads(
            text,
            object_pairs_hook=distinct_keys,
            parse_constant=_refuse_constant,
            parse_int=_any_integer,
        )


def _any_integer(digits: str) -> int:
    return int(digits) if len(digits) <= _INT64_DIGITS else HugeInteger(2**64)


def distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object; raise InvalidContent for a key that is there twice."""
    document = dict(pairs)
    if len(document) != len(pairs):
        seen = set[str]()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidContent(
            f"The content is not JSON that can be kept: an object has the key {json.dumps(twice)} twice."
        )
    return document


def _refuse_constant(constant: str) -> Any:
    raise InvalidContent(f"The content is not JSON: {constant} is not a JSON number.")


def _refuse_lone_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidContent(
            "The content is not JSON that can be kept: a string has half of a surrogate pair."
        ) from None


def _depth(value: Any) -> int:
    depth = 0
    level = [value]
    while containers := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [child for each in containers for child in _children(each)]
    return depth


def _children(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _too_deep() -> NotStorable:
    return NotStorable(f"The content is nested deeper than {DEPTH_LIMIT}; flatten it.")


_DECODER = json.JSONDecoder(object_pairs_hook=distinct_keys, parse_constant=_refuse_constant)
_STORED = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_any_integer)

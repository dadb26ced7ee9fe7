"""In charge of the condition that a document still holds the very value that was read.

The server compares; a `$eq` of expressions holds for 1, 1.0 and the 64-bit 1 alike, but knows arrays,
missing values and the order of keys. What it takes for the same besides is told apart twice:

* By size. An `int` has 4 bytes, the other numbers have 8 or 16, so most numbers have no twin: an equal
  one of another type that is not longer. Where all have the same size in total, none was exchanged.
* By type and digits, where the value has numbers with a twin (1.0, -0.0, 64-bit integers, Decimal128).
  Server and expected value are turned into nested arrays of these by one and the same expression.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from bson import Decimal128, Int64
from bson.raw_bson import RawBSONDocument

from springfield.errors import NotStorable
from springfield.stores.mongodb.values import RAW

DEPTH_LIMIT = 80
"""The deepest number with a twin: each level nests the condition by two, and BSON ends at 200."""

READ = "read"
"""The variable (`let`) that holds the document as it was read."""

_STORED, _EXPECTED = "$content", f"$${READ}.content"

_DIGITS: dict[str, Any] = {
    "$cond": [
        {"$isNumber": "$$this"},
        {"$concat": [{"$type": "$$this"}, {"$toString": "$$this"}]},
        None,
    ]
}
_MEMBERS = {
    "$switch": {
        "branches": [
            {"case": {"$isArray": "$$this"}, "then": "$$this"},
            {
                "case": {"$eq": [{"$type": "$$this"}, "object"]},
                "then": {"$map": {"input": {"$objectToArray": "$$this"}, "in": "$$this.v"}},
            },
        ],
        "default": ["$$this"],
    }
}


def holds_what_was_read(document: bytes) -> list[dict[str, Any]]:
    """Return aggregation expressions that are all true of a document that has not changed.

    They need the variable `READ`. Raises NotStorable for a number with a twin too deep inside.
    """
    conditions: list[dict[str, Any]] = [
        {"$eq": [{"$cmp": [_STORED, _EXPECTED]}, 0]},
        {"$eq": [_size_of(_STORED), _size_of(_EXPECTED)]},
    ]
    depth = _depth_of_twins(RawBSONDocument(document, RAW)["content"])
    if depth is not None:
        conditions.append({"$eq": [_digits_of(_STORED, depth), _digits_of(_EXPECTED, depth)]})
    return conditions


def _size_of(value: str) -> dict[str, Any]:
    return {"$bsonSize": {"content": value}}


def _digits_of(value: str, depth: int) -> dict[str, Any]:
    expression = _DIGITS
    for _ in range(depth):
        expression = {"$map": {"input": _MEMBERS, "in": expression}}
    return {"$map": {"input": [value], "in": expression}}


def _depth_of_twins(value: Any) -> int | None:
    """Return how deep the deepest number with a twin lies; None where there is none."""
    deepest = None
    depth, level = 0, [value]
    while level:
        if any(map(_has_twin, level)):
            deepest = depth
        depth, level = depth + 1, [child for each in level for child in _children(each)]
    if deepest is not None and deepest > DEPTH_LIMIT:
        raise NotStorable(
            f"The item has numbers nested deeper than {DEPTH_LIMIT}, which MongoDB cannot compare "
            "exactly; write it without a precondition."
        )
    return deepest


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def _has_twin(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer() and abs(value) <= 2**63
    return isinstance(value, Int64 | Decimal128)

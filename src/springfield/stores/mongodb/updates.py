"""In charge of how an item is put into a document: `content`, its end, and nothing else.

A value is data wherever it goes: a `$literal`.
"""

from dataclasses import dataclass
from typing import Any

from bson.raw_bson import RawBSONDocument

from springfield.errors import NotStorable
from springfield.model import Item, Kind
from springfield.offloading import compute
from springfield.stores.mongodb.lifetimes import ENDED, FIELD, end_of
from springfield.stores.mongodb.values import decode_document, encode_content

Pipeline = list[dict[str, Any]]

_IS_NEW = {"$eq": [{"$type": "$_id"}, "missing"]}  # an upsert gets its _id behind the pipeline

_REFUSED = {"$toInt": "$name"}  # of an array: fails, with the next code
NAME_IS_ARRAY = 241
"""The code (ConversionFailure) of an update that met a document whose name is an array."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item as MongoDB takes it."""

    item: Item
    content: RawBSONDocument
    """`{"content": value}`"""
    entity_tag: str
    """What the next read gives: JSON is rendered anew."""
    expires: bool
    """Whether the collection has lifetimes."""

    def replacing(self) -> Pipeline:
        """Return the update for a document that may be there or not. Fails where its name is an array."""
        return self._pipeline(self._value(), end_of(self.item))

    def inserting(self) -> Pipeline:
        """Return the same that changes nothing where there is a document that has not ended."""
        is_free = {"$or": [_IS_NEW, ENDED]} if self.expires else _IS_NEW
        return self._pipeline(
            {"$cond": [is_free, self._value(), "$content"]},
            {"$cond": [is_free, end_of(self.item), f"${FIELD}"]},
        )

    def _pipeline(self, content: Any, end: Any) -> Pipeline:
        fields = {"content": {"$cond": [{"$isArray": ["$name"]}, _REFUSED, content]}}
        return [{"$set": {**fields, FIELD: end} if self.expires else fields}]

    def _value(self) -> RawBSONDocument:
        return _renamed(self.content)


def _renamed(content: RawBSONDocument) -> RawBSONDocument:
    """Return `{"$literal": value}`, by its bytes (https://bsonspec.org/spec.html): a value may be large.

    A `$let` that takes the value from the document as it is costs the server half as much again.
    """
    old = content.raw
    size = len(old) + len("$literal") - len("content")
    value = old[5 + len("content") :]  # behind the size, the type and the key
    return RawBSONDocument(b"".join((size.to_bytes(4, "little"), old[4:5], b"$literal", value)))


@dataclass(frozen=True, slots=True)
class Encoded:
    """The content of an item as MongoDB takes it, whatever the collection."""

    content: RawBSONDocument
    entity_tag: str


async def encode(kind: Kind, item: Item) -> Encoded:
    """Encode the content of `item`; raise NotStorable for what BSON lacks."""
    return await compute(len(item.content), lambda: _encode(kind, item.content))


def _encode(kind: Kind, content: bytes) -> Encoded:
    encoded = encode_content(kind, content)
    _, served = decode_document(kind, bytes(encoded.raw))
    if not isinstance(served, Item):
        raise served
    return Encoded(encoded, served.entity_tag)


def new_item(item: Item, encoded: Encoded, *, expires: bool) -> NewItem:
    """Return `item`; raise NotStorable for a lifetime where the collection has none."""
    if not expires and not (item.ttl is None and item.expires_at is None):
        raise NotStorable(
            "This MongoDB collection has no lifetimes; run `springfield init --with-ttl` and start "
            "the service again, or leave out ttl."
        )
    return NewItem(item, encoded.content, encoded.entity_tag, expires)

"""In charge of how an item is put into a document: `content`, its end, and nothing else.

A value is data wherever it goes: below `$set` and `$setOnInsert`, or as a `$literal`.
"""

from dataclasses import dataclass
from typing import Any

from bson.raw_bson import RawBSONDocument

from springfield.errors import NotStorable
from springfield.model import Item, Kind
from springfield.offloading import compute
from springfield.stores.mongodb.lifetimes import ENDED, FIELD, end_of
from springfield.stores.mongodb.values import decode_document, encode_content

Update = dict[str, Any] | list[dict[str, Any]]
"""Update operators, or an aggregation pipeline."""

_IS_NEW = {"$eq": [{"$type": "$_id"}, "missing"]}  # an upsert gets its _id behind the pipeline


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

    def replacing(self) -> Update:
        """Return the update for a document that may be there or not."""
        if not self.expires:
            return {"$set": self.content}
        if self.item.ttl is None and self.item.expires_at is None:
            return {"$set": self.content, "$unset": {FIELD: ""}}
        return [{"$set": {"content": self._value(), FIELD: end_of(self.item)}}]

    def inserting(self) -> Update:
        """Return the upsert that changes nothing where a document is that has not ended."""
        if not self.expires:
            return {"$setOnInsert": self.content}
        is_free = {"$or": [_IS_NEW, ENDED]}
        return [
            {
                "$set": {
                    "content": {"$cond": [is_free, self._value(), "$content"]},
                    FIELD: {"$cond": [is_free, end_of(self.item), f"${FIELD}"]},
                }
            }
        ]

    def _value(self) -> dict[str, Any]:
        return {"$let": {"vars": {"new": {"$literal": self.content}}, "in": "$$new.content"}}


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

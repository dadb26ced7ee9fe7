"""In charge of lifetimes: the date in `expires_at`, and the TTL index that removes what has ended.

The server's clock decides (`$$NOW`). Where `init --with-ttl` has not made the index, the field belongs
to other programs: it is neither read nor written.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bson.datetime_ms import DatetimeMS
from pymongo.asynchronous.collection import AsyncCollection

from springfield.errors import Misconfigured
from springfield.model import Item

FIELD = "expires_at"

_INDEX = "expires_at_ttl"

ENDED = {
    "$and": [{"$eq": [{"$type": f"${FIELD}"}, "date"]}, {"$lte": [f"${FIELD}", "$$NOW"]}],
}
"""An aggregation expression: whether a document's end has passed."""
ALIVE = {"$not": [ENDED]}


def end_of(item: Item) -> Any:
    """Return an aggregation expression for the end of an item that is written."""
    if item.ttl is not None:
        return {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": item.ttl}}
    if item.ends_at is not None:
        return DatetimeMS(item.ends_at)
    return "$$REMOVE"


def stored_end(value: Any) -> float | None:
    """Return the end that a stored document has, in seconds since 1970; None is never."""
    if isinstance(value, datetime):
        value = DatetimeMS(value)
    return int(value) / 1000 if isinstance(value, DatetimeMS) else None


async def has_index(documents: AsyncCollection[Any]) -> bool:
    """Tell whether `init --with-ttl` made the TTL index of this collection."""
    return any([_is_ours(index) async for index in await documents.list_indexes()])


async def make_index(documents: AsyncCollection[Any]) -> Sequence[str]:
    """Create the TTL index. Raises Misconfigured where `expires_at` belongs to another program."""
    indexes = [index async for index in await documents.list_indexes()]
    if any(map(_is_ours, indexes)):
        return []
    if any(list(index["key"]) == [FIELD] or index["name"] == _INDEX for index in indexes):
        raise Misconfigured(
            f"The collection {documents.name} has another index on `{FIELD}`, or one named "
            f"{_INDEX}; drop it, or keep items with lifetimes in another collection (?collection=)."
        )
    if await documents.find_one({FIELD: {"$exists": True}}, {"_id": 1}):
        raise Misconfigured(
            f"A document of the collection {documents.name} has a field `{FIELD}` of another "
            "program, and a TTL index on it would remove documents; keep items with lifetimes in "
            "another collection (?collection=)."
        )
    await documents.create_index(FIELD, name=_INDEX, expireAfterSeconds=0, sparse=True)
    return [f"Created a TTL index on `{FIELD}` of the collection {documents.name}."]


def _is_ours(index: Mapping[str, Any]) -> bool:
    return index["name"] == _INDEX and index.get("expireAfterSeconds") == 0

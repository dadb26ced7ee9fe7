"""In charge of what an operator does to a collection beside the service: inspect and prepare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from pymongo import ReadPreference
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.collation import Collation
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.write_concern import WriteConcern

from springfield.errors import Misconfigured
from springfield.stores.mongodb import lifetimes
from springfield.stores.store import Inspection

Documents = AsyncCollection[dict[str, Any]]


class Comparison(TypedDict, total=False):
    """PyMongo's keyword arguments that make a command compare names as bytes."""

    collation: Collation


@dataclass(frozen=True, slots=True)
class Traits:
    """What differs between collections."""

    compared: Comparison
    expires: bool
    """Whether items have lifetimes here."""


def named(name: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return the filter for documents whose name is this string.

    Equality also matches an array that has it as a member: such a document is another program's
    (docs/decisions/0020).
    """
    return {"name": name, "name.0": {"$exists": False}}


_SIMPLE = {"locale": "simple"}
_INDEX = "name_unique"
_INDEX_REFUSED = {67, 85, 86}  # cannot be enforced over shards; an index with other options


async def find_traits(documents: Documents) -> Traits:
    """Ask for what commands on this collection depend on. Two round trips."""
    options = await documents.options()
    is_view = "viewOn" in options  # readable, but without indexes of its own
    return Traits(_comparison(options), not is_view and await lifetimes.has_index(documents))


def _comparison(options: Mapping[str, Any]) -> Comparison:
    # Most have no default collation, and not every server of this protocol knows the argument.
    return {"collation": Collation("simple")} if "collation" in options else {}


async def inspect(documents: Documents) -> Inspection:
    """Ask what the server is, and what of its and the URI's settings is risky."""
    facts = await documents.database.client.admin.command("buildInfo")
    warnings = []
    if not await _has_unique_index(documents):
        warnings.append(
            f"The collection {documents.name} has no unique index on `name` with the simple "
            "collation, so that concurrent writes can create one name twice and every read "
            "scans it all; run `springfield init`."
        )
    if _comparison(await documents.options()):
        warnings.append(
            f"The collection {documents.name} has a default collation, which its other indexes "
            "take over: a unique one among them may refuse names that look alike."
        )
    if not _is_safe(documents.write_concern):
        warnings.append(
            "The URI's write concern is weaker than majority: a confirmed write can be lost in "
            "a crash or a failover; remove w= and journal= from the URI."
        )
    if documents.read_preference != ReadPreference.PRIMARY:
        warnings.append(
            "The URI's read preference is not primary: a read can be older than the last "
            "confirmed write; remove readPreference= from the URI."
        )
    return Inspection("MongoDB", facts["version"], warnings)


async def prepare(documents: Documents, *, with_ttl: bool) -> Sequence[str]:
    """Create the indexes that are missing. Raises Misconfigured where documents forbid it."""
    done = list(await _make_unique(documents))
    if with_ttl:
        done += await lifetimes.make_index(documents)
    return done


async def _make_unique(documents: Documents) -> Sequence[str]:
    if await _has_unique_index(documents):
        return []
    try:
        compared = _comparison(await documents.options())
        await documents.create_index("name", unique=True, name=_INDEX, **compared)
    except DuplicateKeyError as error:
        raise Misconfigured(
            f"The collection {documents.name} has several documents with the name "
            f"{await _some_duplicate(documents)!r}, so that it cannot get its unique index; "
            "remove all but one and run `springfield init` again."
        ) from error
    except OperationFailure as error:
        if error.code not in _INDEX_REFUSED:
            raise
        raise Misconfigured(
            f"The collection {documents.name} cannot get a unique index on `name` (code "
            f"{error.code}): drop the index on `name` that has other options, or shard the "
            "collection by {name: 1}."
        ) from error
    return [f"Created a unique index on `name` of the collection {documents.name}."]


async def _has_unique_index(documents: Documents) -> bool:
    return any([_keeps_names_apart(index) async for index in await documents.list_indexes()])


def _keeps_names_apart(index: Mapping[str, Any]) -> bool:
    return (
        list(index["key"]) == ["name"]
        and bool(index.get("unique"))
        and index.get("collation", _SIMPLE) == _SIMPLE
        and "partialFilterExpression" not in index
    )


async def _some_duplicate(documents: Documents) -> str | None:
    groups = await documents.aggregate(
        [
            {"$group": {"_id": "$name", "count": {"$sum": 1}}},
            {"$match": {"count": {"$gt": 1}}},
            {"$limit": 1},
        ],
        allowDiskUse=True,
        **_comparison(await documents.options()),
    )
    return next((group["_id"] for group in await groups.to_list()), None)


def _is_safe(concern: WriteConcern) -> bool:
    return isinstance(concern.document.get("w"), str) and concern.document.get("j") is not False

"""In charge of items in MongoDB: one document `{"name": …, "content": …}` an item.

Other fields of a document belong to other programs and stay. Names are compared as bytes, whatever
the collection's own collation is.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.errors import InvalidName, PyMongoError

from springfield.errors import Misconfigured, NotStorable, SpringfieldError, Unreadable
from springfield.model import Item, Kind, Name, is_legal_name
from springfield.offloading import compute
from springfield.stores.mongodb import upkeep
from springfield.stores.mongodb.calls import Calls, to_the_end
from springfield.stores.mongodb.errors import Server, TrafficCounter
from springfield.stores.mongodb.exactness import holds_what_was_read
from springfield.stores.mongodb.lifetimes import ALIVE, FIELD
from springfield.stores.mongodb.pool import PoolCounter
from springfield.stores.mongodb.updates import Encoded, NewItem, encode, new_item
from springfield.stores.mongodb.upkeep import Documents, Traits, find_traits, named
from springfield.stores.mongodb.uri import DEFAULT_DATABASE, parse_uri
from springfield.stores.mongodb.values import (
    LENIENT,
    ExtendedKey,
    decode_document,
    has_extended_key,
)
from springfield.stores.mongodb.writes import Writes
from springfield.stores.store import Adapter, Inspection, Outcome, PoolStatus, StoreOptions, Swapped
from springfield.stores.url import redact

INDEX_TIMEOUT = 600.0
"""Seconds that `prepare` may take: building an index reads the whole collection."""


_SURROGATES = range(0xD800, 0xE000)


@asynccontextmanager
async def open_store(url: str, options: StoreOptions) -> AsyncIterator[Adapter]:
    """Open the collection that a `mongodb://` or `mongodb+srv://` URI names.

    `collection=` is ours (default: the resource's name); everything else is PyMongo's, and our
    defaults hold only where the URI is silent. Raises Misconfigured; needs no server.
    """
    parsed = parse_uri(url, options)
    counter = PoolCounter()
    try:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            parsed.uri, event_listeners=[TrafficCounter(), counter], **parsed.defaults
        )
    except (PyMongoError, ValueError):  # their texts may quote a part of the password
        raise Misconfigured(
            f"The store URL {redact(url)} is no MongoDB URI; percent-encode special characters "
            "in user and password, and see that its options go together."
        ) from None
    async with client:
        try:
            documents = client.get_default_database(DEFAULT_DATABASE)[parsed.collection]
        except InvalidName as error:
            raise Misconfigured(f"The store URL {redact(url)} is not valid: {error}.") from None
        calls = Calls(client, Server(parsed.place, options.timeout))
        yield _MongoDB(options, documents, calls, counter)


@dataclass
class _MongoDB:
    _options: StoreOptions
    _documents: Documents
    _calls: Calls
    _pool: PoolCounter

    def __post_init__(self) -> None:
        self.verbatim = self._options.kind is not Kind.JSON
        raw = CodecOptions(document_class=RawBSONDocument)
        self._raw = self._documents.with_options(codec_options=raw)
        self._lenient = self._documents.with_options(codec_options=LENIENT)
        self._known_traits: Traits | None = None

    def pool(self) -> PoolStatus:
        return self._pool.status(self._calls.client.options.pool_options.max_pool_size)

    async def _traits(self) -> Traits:
        if self._known_traits is None:
            self._known_traits = await find_traits(self._lenient)
        return self._known_traits

    @to_the_end
    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        if not names:
            return {}
        async with self._calls.bounded():
            traits = await self._traits()
            documents = await self._raw.find(
                # By the index alone: what else matches is left out below (see `named`).
                {"name": {"$in": list(names)}, **_alive(traits)},
                {"_id": 0, "name": 1, "content": 1, **({FIELD: 1} if traits.expires else {})},
                batch_size=len(names) + 1,
                **traits.compared,
            ).to_list()
        found: dict[Name, Item | SpringfieldError] = {}
        raw = [bytes(document.raw) for document in documents]
        size = sum(map(len, raw))
        for name, item in await compute(size, lambda: self._decoded(raw)):
            if isinstance(name, str):  # an array that has the name as a member matches as well
                found.setdefault(Name(name), item)
        return found

    def _decoded(self, documents: Sequence[bytes]) -> list[tuple[Any, Item | Unreadable]]:
        return [decode_document(self._options.kind, document) for document in documents]

    @to_the_end
    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, Outcome]:
        if not items:
            return {}
        outcomes: dict[Name, Outcome] = {}
        encoded: dict[Name, Encoded] = {}
        new: dict[Name, NewItem] = {}
        for name, item in items.items():
            try:
                encoded[name] = await encode(self._options.kind, item)
            except NotStorable as error:
                outcomes[name] = error
        async with self._calls.writing():
            traits = await self._traits()
            for name, each in encoded.items():
                try:
                    new[name] = new_item(items[name], each, expires=traits.expires)
                    outcomes[name] = each.entity_tag
                except NotStorable as error:
                    outcomes[name] = error
            return outcomes | await self._writes(traits).upsert(new)

    @to_the_end
    async def swap(self, name: Name, expected: Item | None, new: Item | None) -> Swapped | None:
        encoded = None if new is None else await self._encoded(new, expected)
        document = b""
        conditions: Sequence[dict[str, Any]] = ()
        if expected is not None:
            assert isinstance(expected.native, bytes), "an item that was not read here"
            document = expected.native
            conditions = await compute(len(document), lambda: holds_what_was_read(document))
        async with self._calls.writing():
            traits = await self._traits()
            writes = self._writes(traits)
            put = None
            if new is not None and encoded is not None:
                put = new_item(new, encoded, expires=traits.expires)
            if expected is not None:
                is_won = await writes.exchange(name, document, conditions, put)
            elif put is not None:
                is_won = await writes.insert(name, put)
            else:
                is_won = not await self.read([name])
        if not is_won:
            return None
        return Swapped(encoded.entity_tag if encoded else None)

    async def _encoded(self, new: Item, expected: Item | None) -> Encoded:
        try:
            return await encode(self._options.kind, new)
        except ExtendedKey as error:
            if expected is None or not has_extended_key(expected.content):
                raise
            raise NotStorable(
                f"The stored item has a value of a type that JSON does not have (a date, say), "
                f"served with the key {error.key}: written back, it would be an object. So it cannot "
                "be changed in part; replace it whole, without such keys."
            ) from error

    def _writes(self, traits: Traits) -> Writes:
        return Writes(self._documents, self._calls.server, traits)

    @to_the_end
    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        if names:
            async with self._calls.writing():
                compared = (await self._traits()).compared
                await self._documents.delete_many(named({"$in": list(names)}), **compared)
        return {}

    @to_the_end
    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        page: list[Name] = []
        async with self._calls.bounded():
            traits = await self._traits()
            cursor = self._lenient.find(
                {"name": _bounds(prefix, after), **_alive(traits)},
                {"_id": 0, "name": 1},
                sort=[("name", 1)],
                batch_size=limit + 1,
                **traits.compared,
            )
            async with cursor:
                async for document in cursor:
                    name = document.get("name")
                    if isinstance(name, str) and is_legal_name(name) and [name] != page[-1:]:
                        page.append(Name(name))
                        if len(page) == limit:
                            break
        return page

    @to_the_end
    async def ping(self) -> None:
        async with self._calls.bounded():
            await self._raw.find_one({}, {"_id": 1})

    @to_the_end
    async def inspect(self) -> Inspection:
        async with self._calls.bounded():
            return await upkeep.inspect(self._lenient)

    @to_the_end
    async def prepare(self, *, with_ttl: bool = False) -> Sequence[str]:
        with pymongo.timeout(INDEX_TIMEOUT):
            async with self._calls.bounded(INDEX_TIMEOUT):
                done = await upkeep.prepare(self._lenient, with_ttl=with_ttl)
        self._known_traits = None
        return done


def _alive(traits: Traits) -> dict[str, Any]:
    return {"$expr": ALIVE} if traits.expires else {}


def _bounds(prefix: str, after: Name | None) -> dict[str, str]:
    found = {"$gte": prefix}
    if after is not None and after >= prefix:
        found = {"$gt": after}
    if end := _behind(prefix):
        found["$lt"] = end
    return found


def _behind(prefix: str) -> str | None:
    """Return the first string behind all that start with `prefix`; None where there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)

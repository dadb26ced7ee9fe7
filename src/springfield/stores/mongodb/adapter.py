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
from pymongo import AsyncMongoClient, UpdateOne
from pymongo.errors import BulkWriteError, InvalidName, PyMongoError

from springfield.errors import Misconfigured, NotStorable, SpringfieldError
from springfield.model import Item, Name, is_legal_name
from springfield.stores.mongodb import upkeep
from springfield.stores.mongodb.calls import Calls, to_the_end
from springfield.stores.mongodb.errors import DUPLICATE_KEY, Server, TrafficCounter
from springfield.stores.mongodb.upkeep import Comparison, Documents, comparison
from springfield.stores.mongodb.uri import DEFAULT_DATABASE, parse_uri
from springfield.stores.mongodb.values import LENIENT, decode_document, encode_content
from springfield.stores.store import Adapter, Inspection, StoreOptions
from springfield.stores.url import redact

INDEX_TIMEOUT = 600.0
"""Seconds that `prepare` may take: building an index reads the whole collection."""

_UPSERT_ATTEMPTS = 3  # concurrent upserts of one new name make all but one fail, once or twice
_SURROGATES = range(0xD800, 0xE000)
_FIELDS = {"_id": 0, "name": 1, "content": 1}


@asynccontextmanager
async def open_store(url: str, options: StoreOptions) -> AsyncIterator[Adapter]:
    """Open the collection that a `mongodb://` or `mongodb+srv://` URI names.

    `collection=` is ours (default: the resource's name); everything else is PyMongo's, and our
    defaults hold only where the URI is silent. Raises Misconfigured; needs no server.
    """
    parsed = parse_uri(url, options)
    try:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            parsed.uri, event_listeners=[TrafficCounter()], **parsed.defaults
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
        yield _MongoDB(options, documents, calls)


@dataclass
class _MongoDB:
    _options: StoreOptions
    _documents: Documents
    _calls: Calls

    def __post_init__(self) -> None:
        raw = CodecOptions(document_class=RawBSONDocument)
        self._raw = self._documents.with_options(codec_options=raw)
        self._lenient = self._documents.with_options(codec_options=LENIENT)
        self._comparison: Comparison | None = None

    async def _compared(self) -> Comparison:
        if self._comparison is None:
            self._comparison = await comparison(self._lenient)
        return self._comparison

    @to_the_end
    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        if not names:
            return {}
        async with self._calls.bounded():
            documents = await self._raw.find(
                {"name": {"$in": list(names)}},
                _FIELDS,
                batch_size=len(names) + 1,
                **await self._compared(),
            ).to_list()
        found: dict[Name, Item | SpringfieldError] = {}
        for document in documents:
            name, item = decode_document(self._options.kind, bytes(document.raw))
            if isinstance(name, str):  # an array that has the name as a member matches as well
                found.setdefault(Name(name), item)
        return found

    @to_the_end
    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, SpringfieldError]:
        refused: dict[Name, SpringfieldError] = {}
        contents: dict[Name, RawBSONDocument] = {}
        for name, item in items.items():
            try:
                contents[name] = encode_content(self._options.kind, item.content)
            except NotStorable as error:
                refused[name] = error
        async with self._calls.bounded():
            return refused | await self._upsert(contents, _UPSERT_ATTEMPTS)

    async def _upsert(
        self, contents: Mapping[Name, RawBSONDocument], attempts: int
    ) -> dict[Name, SpringfieldError]:
        if not contents:
            return {}
        names = list(contents)
        errors = {names[each["index"]]: each for each in await self._send(contents)}
        collided = [name for name, each in errors.items() if each["code"] == DUPLICATE_KEY]
        again = {name: contents[name] for name in collided} if attempts > 1 else {}
        refused = {
            name: self._calls.server.refused_item(each)
            for name, each in errors.items()
            if name not in again
        }
        return refused | await self._upsert(again, attempts - 1)

    async def _send(self, contents: Mapping[Name, RawBSONDocument]) -> list[dict[str, Any]]:
        compared = await self._compared()
        updates = [
            UpdateOne({"name": name}, {"$set": content}, upsert=True, **compared)
            for name, content in contents.items()
        ]
        try:
            await self._documents.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            if error.details["writeConcernErrors"]:
                raise
            return list(error.details["writeErrors"])
        return []

    @to_the_end
    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        if names:
            async with self._calls.bounded():
                await self._documents.delete_many(
                    {"name": {"$in": list(names)}}, **await self._compared()
                )
        return {}

    @to_the_end
    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        bounds = {"$gte": prefix}
        if after is not None and after >= prefix:
            bounds = {"$gt": after}
        if end := _behind(prefix):
            bounds["$lt"] = end
        page: list[Name] = []
        async with (
            self._calls.bounded(),
            self._lenient.find(
                {"name": bounds},
                {"_id": 0, "name": 1},
                sort=[("name", 1)],
                batch_size=limit + 1,
                **await self._compared(),
            ) as cursor,
        ):
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
    async def prepare(self) -> Sequence[str]:
        with pymongo.timeout(INDEX_TIMEOUT):
            async with self._calls.bounded(INDEX_TIMEOUT):
                return await upkeep.prepare(self._lenient)


def _behind(prefix: str) -> str | None:
    """Return the first string behind all that start with `prefix`; None where there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)

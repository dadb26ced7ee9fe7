"""In charge of keeping named items in S3: one object a name, its body the content.

Names that S3 servers and clients are known to fold are refused before anything is sent.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import TypeVar

from botocore.exceptions import ClientError

from springfield.content import MEDIA_TYPES
from springfield.errors import (
    Misconfigured,
    NotStorable,
    OutcomeUnknown,
    SpringfieldError,
    Unavailable,
    Unreadable,
)
from springfield.model import Item, Name
from springfield.stores.s3.client import Bucket, inspection_of, open_bucket, parse_location
from springfield.stores.s3.errors import is_absent
from springfield.stores.s3.listing import Listing
from springfield.stores.store import Inspection, StoreOptions
from springfield.stores.url import redact

T = TypeVar("T")

_UNORDERED = (
    "This endpoint does not list keys in byte order: each page of a listing looks at every key "
    "under its prefix. Keep few objects there."
)


@asynccontextmanager
async def open_store(url: str, options: StoreOptions) -> AsyncIterator["S3Store"]:
    """Yield the store at ``s3://bucket/prefix/``; raise Misconfigured when the URL is wrong."""
    location = parse_location(url)
    prefix = location.key
    if prefix and (not prefix.endswith("/") or not is_storable(prefix[:-1])):
        raise Misconfigured(
            f"The store URL {redact(url)} does not end in a prefix; write s3://BUCKET/PREFIX/, "
            "without empty or dotted parts."
        )
    async with open_bucket(location, options) as bucket:
        yield S3Store(bucket, prefix, options)


def is_storable(name: str) -> bool:
    r"""Tell whether every S3 server keeps `name` apart from all others.

    SeaweedFS takes ``a//b`` for ``a/b``, ``\`` for ``/`` and ``a/`` for a folder; proxies resolve
    dot segments (RFC 3986 section 5.2.4).
    """
    return "\\" not in name and {"", ".", ".."}.isdisjoint(name.split("/"))


class S3Store:
    """Named items of one kind under one prefix of a bucket."""

    def __init__(self, bucket: Bucket, prefix: str, options: StoreOptions) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._media_type = MEDIA_TYPES[options.kind]
        self._item_limit = options.item_limit
        self._listing = Listing(bucket, prefix, is_storable, options.timeout)

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        """Return the items that exist, each with S3's own entity tag."""
        storable = [name for name in names if is_storable(name)]
        outcomes = await _wave(storable, lambda name: self._bucket.ask(partial(self._get, name)))
        return {
            name: found
            for name, found in outcomes.items()
            if found is not None and not isinstance(found, NotStorable)
        }

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, SpringfieldError]:
        """Insert or overwrite; what failed for some of the names only is in the answer."""
        return await self._change(items, lambda name: partial(self._put, name, items[name]))

    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        """Remove what exists; what failed for some of the names only is in the answer."""
        return await self._change(names, lambda name: partial(self._remove, name))

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """Return a page of names, in byte order also where the endpoint lists in another."""
        return await self._listing.names(prefix, after, limit)

    async def ping(self) -> None:
        """Return when the bucket lists its first key under the prefix."""
        await self._listing.probe()

    async def inspect(self) -> Inspection:
        """Say what the endpoint calls itself, and whether it lists in byte order."""
        server, is_ordered = await self._listing.probe()
        return inspection_of(server, [] if is_ordered else [_UNORDERED])

    async def prepare(self) -> Sequence[str]:
        """Create the bucket when it does not exist."""
        return await self._bucket.prepare()

    async def _change(
        self, names: Collection[Name], call: Callable[[Name], Callable[[], None]]
    ) -> Mapping[Name, SpringfieldError]:
        async def change(name: Name) -> None:
            if not is_storable(name):
                raise NotStorable(
                    "S3 servers keep a name with a backslash, or with an empty, . or .. part "
                    "between slashes, in another name's place; choose another name."
                )
            await self._bucket.change(call(name))

        outcomes = await _wave(names, change)
        return {name: error for name, error in outcomes.items() if error is not None}

    def _get(self, name: Name) -> Item | None:
        try:
            answer = self._bucket.client.get_object(
                Bucket=self._bucket.name, Key=self._prefix + name
            )
        except ClientError as error:
            if is_absent(error):
                return None
            raise
        with closing(answer["Body"]) as body:
            size = answer["ContentLength"]
            if size > self._item_limit:  # the memory of the service is bounded by it
                raise Unreadable(
                    f"What S3 holds under this name has {size} bytes, over the limit of "
                    f"{self._item_limit} for an item; raise the limit to read it."
                )
            return Item(body.read(), answer["ETag"].strip('"'))

    def _put(self, name: Name, item: Item) -> None:
        self._bucket.client.put_object(
            Bucket=self._bucket.name,
            Key=self._prefix + name,
            Body=item.content,
            ContentType=self._media_type,
        )

    def _remove(self, name: Name) -> None:
        self._bucket.client.delete_object(Bucket=self._bucket.name, Key=self._prefix + name)


async def _wave(
    names: Collection[Name], call: Callable[[Name], Awaitable[T]]
) -> Mapping[Name, T | SpringfieldError]:
    """Call for every name, as many at once as there are threads.

    Each name has its own request, hence its own outcome: only what failed for all is raised.
    """

    async def outcome(name: Name) -> T | SpringfieldError:
        try:
            return await call(name)
        except SpringfieldError as error:
            return error

    outcomes = await asyncio.gather(*(outcome(name) for name in names))
    failures = [o for o in outcomes if isinstance(o, Unavailable | OutcomeUnknown | Misconfigured)]
    if failures and len(failures) == len(outcomes):
        raise next((f for f in failures if isinstance(f, OutcomeUnknown)), failures[0])
    return dict(zip(names, outcomes, strict=True))

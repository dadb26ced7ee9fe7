"""In charge of keeping named items in S3: one object a name, its body the content.

Each write of a name is one request, conditional ones too. What no S3 server can keep (folded names,
lifetimes) is refused before anything is sent.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from springfield.content import MEDIA_TYPES
from springfield.errors import (
    Misconfigured,
    NotStorable,
    OutcomeUnknown,
    SpringfieldError,
    Unavailable,
)
from springfield.model import Item, Name
from springfield.stores.s3.client import Bucket, open_bucket
from springfield.stores.s3.conditions import (
    Conditions,
    condition_of,
    obeys_in_delete,
    obeys_in_put,
    unless_lost,
)
from springfield.stores.s3.errors import is_absent
from springfield.stores.s3.facts import refuse_large
from springfield.stores.s3.listing import Listing
from springfield.stores.s3.names import is_storable, not_storable, parse_prefix
from springfield.stores.store import Inspection, Outcome, PoolStatus, StoreOptions, Swapped

T = TypeVar("T")


@asynccontextmanager
async def open_store(url: str, options: StoreOptions) -> AsyncIterator["S3Store"]:
    """Yield the store at ``s3://bucket/prefix/``; raise Misconfigured when the URL is wrong."""
    location = parse_prefix(url)
    async with open_bucket(location, options) as bucket:
        yield S3Store(bucket, location.key, options)


class S3Store:
    """Named items of one kind under one prefix of a bucket."""

    verbatim = True

    def __init__(self, bucket: Bucket, prefix: str, options: StoreOptions) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._seconds = options.timeout
        self._media_type = MEDIA_TYPES[options.kind]
        self.item_limit = options.item_limit
        """May be changed at any time."""
        self._listing = Listing(bucket, prefix, is_storable, options.timeout)
        self._conditions = Conditions(bucket, prefix)

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        """See Store. A request a name; each item has S3's own entity tag."""
        storable = [name for name in names if is_storable(name)]
        outcomes = await _wave(storable, self._read)
        return {
            name: found
            for name, found in outcomes.items()
            if found is not None and not isinstance(found, NotStorable)
        }

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, Outcome]:
        """See Store. A request a name."""

        async def write(name: Name) -> str:
            _check(name, items[name])
            return await self._bucket.change(partial(self._put, name, items[name], {}))

        return await _wave(items, write)

    async def swap(self, name: Name, expected: Item | None, new: Item | None) -> Swapped | None:
        """See Store. One request, whose condition is the entity tag that was read."""
        _check(name, new)
        if new is None and expected is None:  # nothing for nothing: there is nothing to write
            return None if await self.read([name]) else Swapped(None)
        condition = condition_of(None if expected is None else expected.entity_tag)
        await self._conditions.require(obeys_in_delete if new is None else obeys_in_put)
        call = partial(self._swap, name, new, condition)
        key = self._prefix + name
        return await self._bucket.change(partial(unless_lost, call, self._bucket, key, condition))

    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        """See Store. A request a name."""

        async def delete(name: Name) -> None:
            _check(name, None)
            await self._bucket.change(partial(self._remove, name, {}))

        outcomes = await _wave(names, delete)
        return {name: error for name, error in outcomes.items() if error is not None}

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """See Store. In byte order also where the endpoint lists in another."""
        return await self._listing.names(prefix, after, limit)

    def pool(self) -> PoolStatus:
        """See Pooled."""
        return self._bucket.pool()

    async def ping(self) -> None:
        """Return when the bucket lists its first key under the prefix."""
        await self._listing.probe()

    async def inspect(self) -> Inspection:
        """Say what the endpoint calls itself, and whether it lists in byte order."""
        return await self._listing.inspect()

    async def prepare(self, *, with_ttl: bool = False) -> Sequence[str]:
        """Create the bucket when it does not exist."""
        del with_ttl  # S3 expires objects by day and rule, not each by itself
        return await self._bucket.prepare()

    async def _read(self, name: Name) -> Item | None:
        key = self._prefix + name
        return await self._bucket.read(
            key,
            lambda reader: reader.read(key, self.item_limit, self._seconds),
            lambda: self._bucket.ask(partial(self._get, key)),
        )

    def _get(self, key: str) -> Item | None:
        try:
            answer = self._bucket.client.get_object(Bucket=self._bucket.name, Key=key)
        except ClientError as error:
            if is_absent(error):
                return None
            raise
        with closing(answer["Body"]) as body:
            refuse_large(answer["ContentLength"], self.item_limit)
            return Item(body.read(), answer["ETag"].strip('"'))

    def _swap(self, name: Name, new: Item | None, condition: Mapping[str, Any]) -> Swapped:
        if new is not None:
            return Swapped(self._put(name, new, condition))
        self._remove(name, condition)
        return Swapped(None)

    def _put(self, name: Name, item: Item, condition: Mapping[str, Any]) -> str:
        answer = self._bucket.client.put_object(
            Bucket=self._bucket.name,
            Key=self._prefix + name,
            Body=item.content,
            ContentType=self._media_type,
            **condition,
        )
        return answer["ETag"].strip('"')

    def _remove(self, name: Name, condition: Mapping[str, Any]) -> None:
        self._bucket.client.delete_object(
            Bucket=self._bucket.name, Key=self._prefix + name, **condition
        )


def _check(name: Name, item: Item | None) -> None:
    """Raise NotStorable for what S3 cannot keep."""
    if not is_storable(name):
        raise not_storable()
    if item is not None and (item.ttl is not None or item.expires_at is not None):
        raise NotStorable(
            "S3 cannot end single objects at a given second; leave ttl out, or keep this resource "
            "in another store."
        )


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

"""In charge of any number of objects in S3, by name under one prefix. They share client and threads.

Names are those that named items may have: the same key is never two things.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from springfield.model import Name
from springfield.stores.objects import Expected, ObjectInfo, OpenObject, Part
from springfield.stores.s3.client import Bucket, open_bucket
from springfield.stores.s3.conditions import Conditions
from springfield.stores.s3.listing import Listing
from springfield.stores.s3.names import is_storable, not_storable, parse_prefix
from springfield.stores.s3.object import S3Object
from springfield.stores.store import Inspection, PoolStatus, StoreOptions


@asynccontextmanager
async def open_objects(url: str, options: StoreOptions) -> AsyncIterator["S3Objects"]:
    """Yield the objects at ``s3://bucket/prefix/``; raise Misconfigured when the URL is wrong."""
    location = parse_prefix(url)
    async with open_bucket(location, options) as bucket:
        yield S3Objects(bucket, location.key, options.timeout)


class S3Objects:
    """The objects under one prefix of a bucket."""

    def __init__(self, bucket: Bucket, prefix: str, seconds: float) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._seconds = seconds
        self._conditions = Conditions(bucket, prefix)
        self._listing = Listing(bucket, prefix, is_storable, seconds)

    def at(self, name: Name) -> S3Object:
        """See Objects. Where S3 cannot keep the name, the object is absent and not storable."""
        kind = S3Object if is_storable(name) else _UnstorableObject
        return kind(self._bucket, self._prefix + name, self._conditions, self._seconds)

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """See Store.names."""
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
        del with_ttl  # objects have no lifetimes
        return await self._bucket.prepare()


class _UnstorableObject(S3Object):
    """What is at a name that S3 servers would keep in another name's place: nothing is sent."""

    async def stat(self) -> ObjectInfo | None:
        return None

    @asynccontextmanager
    async def open(self, part: Part | None = None) -> AsyncIterator[OpenObject | None]:
        del part
        yield None

    async def write(
        self,
        chunks: AsyncIterator[bytes],
        media_type: str | None,
        expected: Expected | None = None,
    ) -> ObjectInfo | None:
        del chunks, media_type, expected
        raise not_storable()

    async def delete(self, expected: Expected | None = None) -> bool:
        return expected is None or expected.entity_tag is None

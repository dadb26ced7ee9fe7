"""In charge of keeping one streamed object in S3, small ones whole and large ones in parts.

S3 itself puts a whole object in place at once, so a reader sees the old one or the new one.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import IO, Any, TypeVar

from botocore.exceptions import ClientError

from springfield.errors import Misconfigured
from springfield.stores.objects import Expected, ObjectInfo, OpenObject, Part
from springfield.stores.s3.client import (
    Bucket,
    inspection_of,
    open_bucket,
    server_of,
)
from springfield.stores.s3.conditions import (
    Conditions,
    condition_of,
    obeys_in_delete,
    obeys_in_put,
    obeys_in_upload,
    unless_lost,
)
from springfield.stores.s3.errors import is_absent
from springfield.stores.s3.facts import UNTYPED, info_of
from springfield.stores.s3.location import parse_location
from springfield.stores.s3.spool import Spool
from springfield.stores.s3.transfer import (
    PART,
    Download,
    MultipartUpload,
    in_parts,
)
from springfield.stores.store import Inspection, PoolStatus, StoreOptions
from springfield.stores.url import redact

T = TypeVar("T")

SLOWEST = 1024 * 1024
"""Bytes a second that an upload must make: a part has this much time beside the timeout."""


@asynccontextmanager
async def open_object(url: str, options: StoreOptions) -> AsyncIterator["S3Object"]:
    """Yield the object at ``s3://bucket/key``; raise Misconfigured when the URL is wrong."""
    location = parse_location(url)
    if not location.key or location.key.endswith("/"):
        raise Misconfigured(
            f"The store URL {redact(url)} names no object; write s3://BUCKET/KEY, not ending in /."
        )
    async with open_bucket(location, options) as bucket:
        folder, slash, _ = location.key.rpartition("/")
        yield S3Object(bucket, location.key, Conditions(bucket, folder + slash), options.timeout)


class S3Object:
    """One object of a bucket."""

    def __init__(self, bucket: Bucket, key: str, conditions: Conditions, seconds: float) -> None:
        self._bucket = bucket
        self._key = key
        self._conditions = conditions
        self._seconds = seconds

    async def stat(self) -> ObjectInfo | None:
        """Return the object's facts; None when there is none, or no bucket (a HEAD cannot tell)."""
        return await self._bucket.read(
            self._key,
            lambda reader: reader.stat(self._key, self._seconds),
            self._stat,
        )

    @asynccontextmanager
    async def open(self, part: Part | None = None) -> AsyncIterator[OpenObject | None]:
        """Open the object, or a part, for reading. Every chunk has the timeout for itself."""
        async with AsyncExitStack() as stack:
            yield await self._bucket.read(
                self._key,
                lambda reader: reader.open(self._key, part, self._seconds, stack),
                lambda: stack.enter_async_context(self._download(part)),
            )

    @asynccontextmanager
    async def _download(self, part: Part | None) -> AsyncIterator[OpenObject | None]:
        download = Download(self._bucket.client, self._bucket.name, self._key, part)
        try:
            info = await self._bucket.ask(download.start)
            yield None if info is None else OpenObject(info, self._chunks(download))
        finally:
            await self._bucket.let_go(download.close)

    async def write(
        self,
        chunks: AsyncIterator[bytes],
        media_type: str | None,
        expected: Expected | None = None,
    ) -> ObjectInfo | None:
        """See ObjectStore. Holds at most two parts of the object at a time.

        Cancelled, failed or lost, it removes what was sent before it returns.
        """
        if expected is not None:
            await self._conditions.require(obeys_in_put)
        async with aclosing(in_parts(chunks)) as parts:
            # Whoever holds the first part would hold it until the last one is sent.
            first = deque([await anext(parts, bytearray())])
            if len(first[0]) < PART:
                return await self._put(first[0], len(first[0]), media_type, expected)
            if expected is None or await self._conditions.are_obeyed(obeys_in_upload):
                return await self._upload(first, parts, media_type, expected)
            return await self._put_spooled(first, parts, media_type, expected)

    async def delete(self, expected: Expected | None = None) -> bool:
        """See ObjectStore. One request."""
        if expected is None:
            await self._bucket.change(partial(self._remove, {}))
            return True
        if expected.entity_tag is None:  # nothing for nothing: there is nothing to write
            return await self.stat() is None
        await self._conditions.require(obeys_in_delete)
        condition = _condition_of(expected)
        call = partial(self._remove, condition)
        return await self._bucket.change(self._unless_lost(call, condition)) is not None

    def pool(self) -> PoolStatus:
        """See Pooled."""
        return self._bucket.pool()

    async def ping(self) -> None:
        """Return when the object could be asked for, or its bucket exists."""
        if await self.stat() is None:
            await self._bucket.check()

    async def inspect(self) -> Inspection:
        """Say what the endpoint calls itself."""
        _, server = await self._bucket.ask(self._head)
        return inspection_of(server)

    async def prepare(self, *, with_ttl: bool = False) -> Sequence[str]:
        """Create the bucket when it does not exist."""
        del with_ttl  # objects have no lifetimes
        return await self._bucket.prepare()

    async def _chunks(self, download: Download) -> AsyncIterator[bytes]:
        while chunk := await self._bucket.ask(download.read):
            yield chunk

    async def _put(
        self,
        body: bytearray | IO[bytes],
        size: int,
        media_type: str | None,
        expected: Expected | None,
    ) -> ObjectInfo | None:
        condition = _condition_of(expected)

        def put() -> ObjectInfo:
            answer = self._bucket.client.put_object(
                Bucket=self._bucket.name,
                Key=self._key,
                Body=body,  # type: ignore[arg-type]  # the stub forgets bytearray
                ContentType=media_type or UNTYPED,
                **condition,
            )
            return ObjectInfo(size, answer["ETag"].strip('"'), media_type)

        return await self._bucket.change(self._unless_lost(put, condition), self._time_for(size))

    async def _put_spooled(
        self,
        first: deque[bytearray],
        parts: AsyncIterator[bytearray],
        media_type: str | None,
        expected: Expected,
    ) -> ObjectInfo | None:
        """Send a large object whole, to who obeys conditions in that case alone."""
        spool = Spool()
        try:
            part = first.pop()
            while part:
                await self._bucket.ask(partial(spool.add, part), self._time_for(len(part)))
                part = await anext(parts, bytearray())
            return await self._put(spool.rewound(), spool.size, media_type, expected)
        finally:
            await self._bucket.clean_up(spool.close)

    async def _upload(
        self,
        first: deque[bytearray],
        parts: AsyncIterator[bytearray],
        media_type: str | None,
        expected: Expected | None,
    ) -> ObjectInfo | None:
        upload = MultipartUpload(self._bucket.client, self._bucket.name, self._key)
        tag = None
        try:
            await self._bucket.ask(partial(upload.create, media_type or UNTYPED))
            size = await self._send(upload, first.pop(), parts)
            condition = _condition_of(expected)
            complete = self._unless_lost(partial(upload.complete, condition), condition)
            tag = await self._bucket.change(complete, self._time_for(PART))
        finally:
            if tag is None:
                await self._bucket.clean_up(upload.abort)
        return None if tag is None else ObjectInfo(size, tag, media_type)

    async def _send(
        self, upload: MultipartUpload, part: bytearray, parts: AsyncIterator[bytearray]
    ) -> int:
        """Send all parts, one while the next comes in; return their size."""
        size, sending = 0, None
        try:
            while part:
                if sending:
                    await sending
                size += len(part)
                call = self._bucket.ask(partial(upload.send, part), self._time_for(len(part)))
                sending = asyncio.create_task(call)
                part = await anext(parts, bytearray())
            if sending:
                await sending
        finally:
            if sending:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        return size

    def _unless_lost(
        self, write: Callable[[], T], condition: Mapping[str, Any]
    ) -> Callable[[], T | None]:
        return partial(unless_lost, write, self._bucket, self._key, condition)

    def _time_for(self, size: int) -> float:
        return self._seconds + size / SLOWEST

    def _remove(self, condition: Mapping[str, Any]) -> bool:
        self._bucket.client.delete_object(Bucket=self._bucket.name, Key=self._key, **condition)
        return True

    async def _stat(self) -> ObjectInfo | None:
        info, _ = await self._bucket.ask(self._head)
        return info

    def _head(self) -> tuple[ObjectInfo | None, str]:
        try:
            answer = self._bucket.client.head_object(Bucket=self._bucket.name, Key=self._key)
        except ClientError as error:
            if is_absent(error):
                return None, server_of(error.response)
            raise
        return info_of(answer), server_of(answer)


def _condition_of(expected: Expected | None) -> dict[str, Any]:
    return {} if expected is None else condition_of(expected.entity_tag)

"""In charge of keeping one streamed object in S3, small ones whole and large ones in parts.

S3 itself puts a whole object in place at once, so a reader sees the old one or the new one.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial

from botocore.exceptions import ClientError

from springfield.errors import Misconfigured
from springfield.stores.objects import ObjectInfo, OpenObject
from springfield.stores.s3.client import (
    Bucket,
    inspection_of,
    open_bucket,
    parse_location,
    server_of,
)
from springfield.stores.s3.errors import is_absent
from springfield.stores.s3.transfer import UNTYPED, Download, MultipartUpload, info_of
from springfield.stores.store import Inspection, StoreOptions
from springfield.stores.url import redact

PART = 8 * 1024 * 1024
"""Bytes of a part, the same for every object, so that equal content has equal entity tags."""

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
        yield S3Object(bucket, location.key, options.timeout)


class S3Object:
    """One object of a bucket."""

    def __init__(self, bucket: Bucket, key: str, seconds: float) -> None:
        self._bucket = bucket
        self._key = key
        self._seconds = seconds

    async def stat(self) -> ObjectInfo | None:
        """Return the object's facts; None when there is none, or no bucket (a HEAD cannot tell)."""
        info, _ = await self._bucket.ask(self._head)
        return info

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenObject | None]:
        """Open the object for reading. Every chunk has the timeout for itself."""
        download = Download(self._bucket.client, self._bucket.name, self._key)
        try:
            info = await self._bucket.ask(download.start)
            yield None if info is None else OpenObject(info, self._chunks(download))
        finally:
            await self._bucket.clean_up(download.close)

    async def write(self, chunks: AsyncIterator[bytes], media_type: str | None) -> ObjectInfo:
        """Replace the object; holds at most three parts of it at a time.

        Cancelled or failed, it removes what was sent before it returns.
        """
        async with aclosing(_in_parts(chunks)) as parts:
            first = await anext(parts, bytearray())
            if len(first) < PART:
                put = partial(self._put, first, media_type)
                tag = await self._bucket.change(put, self._time_for(first))
                return ObjectInfo(len(first), tag, media_type)
            upload = MultipartUpload(self._bucket.client, self._bucket.name, self._key)
            try:
                await self._bucket.ask(partial(upload.create, media_type or UNTYPED))
                size = await self._send(upload, first, parts)
                tag = await self._bucket.change(upload.complete, self._time_for(first))
            except BaseException:
                await self._bucket.clean_up(upload.abort)
                raise
            return ObjectInfo(size, tag, media_type)

    async def delete(self) -> None:
        """Remove the object; an absent one is no error."""
        await self._bucket.change(
            lambda: self._bucket.client.delete_object(Bucket=self._bucket.name, Key=self._key)
        )

    async def ping(self) -> None:
        """Return when the object could be asked for, or its bucket exists."""
        if await self.stat() is None:
            await self._bucket.check()

    async def inspect(self) -> Inspection:
        """Say what the endpoint calls itself."""
        _, server = await self._bucket.ask(self._head)
        return inspection_of(server)

    async def prepare(self) -> Sequence[str]:
        """Create the bucket when it does not exist."""
        return await self._bucket.prepare()

    async def _chunks(self, download: Download) -> AsyncIterator[bytes]:
        while chunk := await self._bucket.ask(download.read):
            yield chunk

    async def _send(
        self, upload: MultipartUpload, first: bytearray, parts: AsyncIterator[bytearray]
    ) -> int:
        """Send all parts, one while the next comes in; return their size."""
        size, part, sending = 0, first, None
        try:
            while part:
                if sending:
                    await sending
                size += len(part)
                call = self._bucket.ask(partial(upload.send, part), self._time_for(part))
                sending = asyncio.create_task(call)
                part = await anext(parts, bytearray())
            if sending:
                await sending
        finally:
            if sending:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        return size

    def _time_for(self, content: bytearray) -> float:
        return self._seconds + len(content) / SLOWEST

    def _head(self) -> tuple[ObjectInfo | None, str]:
        try:
            answer = self._bucket.client.head_object(Bucket=self._bucket.name, Key=self._key)
        except ClientError as error:
            if is_absent(error):
                return None, server_of(error.response)
            raise
        return info_of(answer), server_of(answer)

    def _put(self, content: bytearray, media_type: str | None) -> str:
        answer = self._bucket.client.put_object(
            Bucket=self._bucket.name,
            Key=self._key,
            Body=content,  # type: ignore[arg-type]  # the stub forgets bytearray
            ContentType=media_type or UNTYPED,
        )
        return answer["ETag"].strip('"')


async def _in_parts(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytearray, None]:
    """Yield what `chunks` yields in pieces of `PART` bytes; only the last one is shorter."""
    part = bytearray()
    async for chunk in chunks:
        rest = chunk
        while len(part) + len(rest) >= PART:
            room = PART - len(part)
            part += rest[:room]
            yield part
            part, rest = bytearray(), rest[room:]
        part += rest
    if part:
        yield part

"""In charge of one large object over HTTP, streamed both ways in bounded memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from tornado.iostream import StreamClosedError

from springfield.content import MEDIA_TYPES
from springfield.model import Kind
from springfield.resources import StoredObject, too_large
from springfield.stores.objects import ObjectInfo
from springfield.web.handlers.base import Handler
from springfield.web.handlers.resource import refuse_unkept_wishes
from springfield.web.media import claimed_media_type, refuse_encoding


class Body:
    """A body on its way from the client to the store, a few chunks at a time.

    `feed` waits while the store is slow, which stops the reading of the socket; once the store
    has given up (`abandon`), it waits no more.
    """

    def __init__(self) -> None:
        self._chunks = asyncio.Queue[bytes | None](maxsize=4)
        self._is_abandoned = False

    async def feed(self, chunk: bytes | None) -> None:
        """Hand on a chunk; None is the end."""
        if not self._is_abandoned:
            await self._chunks.put(chunk)

    def abandon(self) -> None:
        """Say that nobody reads any more, and wake up who waits."""
        self._is_abandoned = True
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            yield chunk


class ObjectHandler(Handler):
    """`/api/v1/bart`: the object that its URL names."""

    METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")

    def initialize(self, stored: StoredObject) -> None:
        """Take the route's object."""
        self.stored = stored
        self.body_limit = stored.object_limit
        self._body = Body()
        self._upload: asyncio.Task[ObjectInfo] | None = None

    def check_write(self) -> None:
        """See Handler: what the headers say; then let the upload begin with the first byte."""
        refuse_unkept_wishes(self)
        if self.request.method == "DELETE":
            return
        refuse_encoding(self.request.headers)
        length = self.request.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > self.body_limit:
            raise too_large(self.body_limit)
        media_type = claimed_media_type(self.request.headers)
        self._upload = asyncio.create_task(self.stored.put(aiter(self._body), media_type))
        self._upload.add_done_callback(lambda _: self._body.abandon())

    async def take(self, chunk: bytes) -> None:
        """See Handler: hand the chunk to the store, at the store's pace."""
        if self._upload is None:
            return
        if self._upload.done():
            await self._upload  # it failed: say so now, not after gigabytes
        await self._body.feed(chunk)

    async def get(self) -> None:
        """Stream the object, or answer 304 when the client has it."""
        async with self.stored.open() as opened:
            if opened is None:
                raise self.stored.missing()
            if self._describe(opened.info):
                return
            with suppress(StreamClosedError):  # the client went away: nothing is left to do
                async for chunk in opened.chunks:
                    self.write(chunk)
                    await self.flush()

    async def head(self) -> None:
        """Answer with GET's headers."""
        self._describe(await self.stored.stat())

    async def post(self) -> None:
        """Replace the object: 204, durably."""
        assert self._upload is not None
        await self._body.feed(None)
        info = await self._upload
        self.set_header("Etag", f'"{info.entity_tag}"')
        self.set_status(204)

    put = post

    async def delete(self) -> None:
        """Remove the object: 204, also when it was absent."""
        await self.stored.delete()
        self.set_status(204)

    def on_connection_close(self) -> None:
        """Give up an upload whose client is gone: the old object stays."""
        super().on_connection_close()
        if self._upload is not None:
            self._upload.cancel()

    def on_finish(self) -> None:
        """Give up an upload that was refused on the way."""
        if self._upload is not None and not self._upload.done():
            self._upload.cancel()
        if self._upload is not None and self._upload.done() and not self._upload.cancelled():
            self._upload.exception()  # it was answered, or nobody is left to be told

    def _describe(self, info: ObjectInfo) -> bool:
        """Set the object's headers; return True when the answer is 304."""
        self.set_header("Etag", f'"{info.entity_tag}"')
        self.set_header("Cache-Control", "no-cache")
        if self.check_etag_header():
            self.set_status(304)
            return True
        self.set_header("Content-Type", info.media_type or MEDIA_TYPES[Kind.BYTES])
        self.set_header("Content-Length", info.size)
        return False

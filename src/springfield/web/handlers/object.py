"""In charge of one large object over HTTP, streamed both ways in bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable

from tornado.iostream import StreamClosedError
from tornado.web import Finish

from springfield.content import MEDIA_TYPES
from springfield.errors import NotStorable, PreconditionFailed, SpringfieldError
from springfield.model import Kind
from springfield.object_resources import ObjectCollection, SingleObject, StoredObject
from springfield.stores.objects import ObjectInfo, OpenObject, Part
from springfield.web.conditions import lifetime_of, precondition_of, require_precondition
from springfield.web.handlers.base import Handler
from springfield.web.media import claimed_media_type, refuse_encoding, require_acceptable
from springfield.web.parameters import parameter
from springfield.web.ranges import byte_range, refuse_part


class Body:
    """A body on its way from the client to the store, a few chunks at a time.

    `feed` waits while the store is slow, which stops the reading of the socket; once the store
    has given up (`abandon`), it waits no more.
    """

    def __init__(self) -> None:
        self._chunks = asyncio.Queue[bytes | None](maxsize=4)
        self.wanted = asyncio.Event()
        """Set when the store asks for the first chunk."""
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
        self.wanted.set()
        while (chunk := await self._chunks.get()) is not None:
            yield chunk


class ObjectHandler(Handler):
    """`/api/v1/bart`, or `/api/v1/photos/{name}`: an object that is streamed both ways."""

    METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")

    def initialize(
        self, route: str, objects: SingleObject | ObjectCollection, needs_precondition: bool
    ) -> None:
        """Take the route's object or objects."""
        super().initialize(route)
        self.objects = objects
        self.body_limit = objects.object_limit
        self._needs_precondition = needs_precondition
        self._body = Body()
        self._upload: asyncio.Task[ObjectInfo] | None = None

    @property
    def stored(self) -> StoredObject:
        """The object that the path names; raises InvalidName."""
        return self.objects.at(*self.path_args)

    def check_write(self) -> None:
        """See Handler: what the headers say; then let the upload begin with the first byte."""
        headers = self.request.headers
        condition = precondition_of(headers)
        if self._needs_precondition:
            require_precondition(headers)
        if lifetime_of(parameter(self.request, "ttl")):
            raise NotStorable("Objects have no lifetime; leave out ttl.")
        if self.request.method == "DELETE":
            return
        refuse_encoding(headers)
        refuse_part(headers)
        upload = self.stored.put(aiter(self._body), claimed_media_type(headers), condition)
        self._upload = asyncio.create_task(upload)
        self._upload.add_done_callback(lambda _: self._body.abandon())

    def prepare(self) -> Awaitable[None] | None:
        """See Handler; who waits for 100 (Continue) gets it when the store wants the body."""
        super().prepare()
        if self._upload is None or self.is_answered_early or "Expect" not in self.request.headers:
            return None
        return self._wanted(self._upload)

    async def _wanted(self, upload: "asyncio.Task[ObjectInfo]") -> None:
        wanted = asyncio.create_task(self._body.wanted.wait())
        try:
            await asyncio.wait({upload, wanted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            wanted.cancel()
        if upload.done() and isinstance(error := upload.exception(), SpringfieldError):
            self.answer_early(error)

    async def take(self, chunk: bytes) -> None:
        """See Handler: hand the chunk to the store, at the store's pace."""
        if self._upload is None:
            return
        if self._upload.done() and isinstance(error := self._upload.exception(), SpringfieldError):
            raise error  # say so now, not after gigabytes
        await self._body.feed(chunk)

    async def get(self, *_: str) -> None:
        """Stream the object or the range that is asked for, or answer 304."""
        stored = self.stored
        part = None
        if "Range" in self.request.headers:
            part = self._part(await stored.stat())
            if part is not None:
                async with stored.open(part) as opened:
                    if opened is not None and await self._send(opened, part):
                        return
        async with stored.open() as opened:
            if opened is None:
                raise stored.missing()
            await self._send(opened, None)

    async def head(self, *_: str) -> None:
        """Answer with GET's headers."""
        self._describe(await self.stored.stat())

    async def post(self, *_: str) -> None:
        """Replace the object: 204, durably."""
        assert self._upload is not None
        await self._body.feed(None)
        try:
            info = await self._upload
        except asyncio.CancelledError:
            if not self.is_abandoned:
                raise
            raise Finish from None  # the client went away: nobody is left to be told
        self.set_header("Etag", f'"{info.entity_tag}"')
        self.set_status(204)

    put = post

    async def delete(self, *_: str) -> None:
        """Remove the object: 204, also when it was absent."""
        await self.stored.delete(precondition_of(self.request.headers))
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

    def _part(self, info: ObjectInfo) -> Part | None:
        """Return what is asked for of the object; None to send all (RFC 9110, section 14.2)."""
        headers = self.request.headers
        condition = precondition_of(headers)
        if_range = headers.get("If-Range")
        if not condition.allows(info.entity_tag):
            return None
        if if_range is not None and if_range.strip() != f'"{info.entity_tag}"':
            return None
        found = byte_range(headers["Range"], info.size)
        return None if found is None else Part(*found, info.entity_tag)

    async def _send(self, opened: OpenObject, part: Part | None) -> bool:
        if self._describe(opened.info):
            return True
        left = opened.info.size
        if part is not None:
            left = part.stop - part.start
            self.set_status(206)
            self.set_header(
                "Content-Range", f"bytes {part.start}-{part.stop - 1}/{opened.info.size}"
            )
            self.set_header("Content-Length", left)
        try:
            async for chunk in opened.chunks:
                left -= len(chunk)
                self.write(chunk)
                if not left:  # a client that has all may be gone before the store lets go
                    _ = self.finish()
                    break
                await self.flush()
        except StreamClosedError:  # the client went away, and the engine has yet to say so
            self.is_abandoned = True
            self.cut()
        return True

    def _describe(self, info: ObjectInfo) -> bool:
        """Set the object's headers; return True when the answer is 304."""
        condition = precondition_of(self.request.headers)
        if not condition.matches(info.entity_tag):
            raise PreconditionFailed("If-Match is false: the object is another than you think.")
        self.set_header("Etag", f'"{info.entity_tag}"')
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Vary", "Accept")
        if condition.excludes(info.entity_tag):
            self.set_status(304)
            return True
        media_type = info.media_type or MEDIA_TYPES[Kind.BYTES]
        require_acceptable(self.request.headers, media_type)
        self.set_header("Content-Type", media_type)
        if info.encoding:
            self.set_header("Content-Encoding", info.encoding)
        self.set_header("Content-Length", info.size)
        return False

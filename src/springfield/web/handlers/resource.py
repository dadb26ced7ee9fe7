"""In charge of named items over HTTP: one handler for an item, one for the list of names."""

import json

from springfield.content import MEDIA_TYPES
from springfield.errors import InvalidParameter
from springfield.resources import PAGE_DEFAULT, Collection, too_large
from springfield.web.handlers.base import Handler
from springfield.web.media import check_media_type
from springfield.web.problems import HTTPRefusal


class ItemHandler(Handler):
    """`/api/v1/{resource}/{name}`: the name is all of the path after the slash."""

    METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")

    def initialize(self, collection: Collection) -> None:
        """Take the route's collection."""
        self.collection = collection
        self.body_limit = collection.item_limit
        self._body = bytearray()

    def check_write(self) -> None:
        """See Handler: media type, size, and wishes that must not be ignored."""
        refuse_unkept_wishes(self)
        if self.request.method != "DELETE":
            check_media_type(self.collection.kind, self.request.headers)
        length = self.request.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > self.body_limit:
            raise too_large(self.body_limit)

    async def take(self, chunk: bytes) -> None:
        """See Handler: collect the body, up to the limit."""
        if len(self._body) + len(chunk) > self.body_limit:
            self._body.clear()
            raise too_large(self.body_limit)
        self._body += chunk

    async def get(self, name: str) -> None:
        """Answer with the item's content, or 304 when the client has it."""
        item = await self.collection.get(name)
        self.set_header("Etag", f'"{item.entity_tag}"')
        self.set_header("Cache-Control", "no-cache")
        if self.check_etag_header():
            self.set_status(304)
            return
        self.set_header("Content-Type", MEDIA_TYPES[self.collection.kind])
        self.write(item.content)

    head = get

    async def post(self, name: str) -> None:
        """Insert or overwrite the item: 204."""
        await self.collection.put(name, bytes(self._body))
        self.set_status(204)

    put = post

    async def delete(self, name: str) -> None:
        """Remove the item: 204, also when it was absent."""
        await self.collection.delete(name)
        self.set_status(204)


class NamesHandler(Handler):
    """`/api/v1/{resource}`: the names, a page at a time, in byte order."""

    def initialize(self, collection: Collection) -> None:
        """Take the route's collection."""
        self.collection = collection

    async def get(self) -> None:
        """Answer with a page: `{"names": […], "next": cursor or null}`."""
        limit = self.get_query_argument("limit", str(PAGE_DEFAULT))
        if not limit.isdecimal() or not limit.isascii():
            raise InvalidParameter(f"limit={limit!a} is not a number.")
        page = await self.collection.page(
            self.get_query_argument("prefix", "", strip=False),
            self.get_query_argument("cursor", None),
            int(limit[:9]),
        )
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-cache")
        body = {"names": page.names, "next": page.cursor}
        self.write(json.dumps(body, ensure_ascii=False).encode())

    head = get


def refuse_unkept_wishes(handler: Handler) -> None:
    """Raise HTTPRefusal (501) for a wish that this version cannot keep, rather than ignore it."""
    headers = handler.request.headers
    for wish in ("If-Match", "If-None-Match", "If-Unmodified-Since"):
        if wish in headers:
            raise HTTPRefusal("not-implemented", f"{wish} on writes is not implemented yet.")
    if handler.request.query_arguments.get("ttl"):
        raise HTTPRefusal("not-implemented", "Lifetimes (ttl) are not implemented yet.")

"""In charge of named items over HTTP: one handler for an item, one for the list of names."""

import json
import math
import time
from collections.abc import Awaitable
from email.utils import formatdate
from functools import partial
from typing import cast
from urllib.parse import urlencode

from springfield.content import MEDIA_TYPES
from springfield.errors import InvalidParameter, PreconditionFailed, SpringfieldError
from springfield.headers import Headers
from springfield.model import Item, Kind, Precondition
from springfield.object_resources import ObjectCollection
from springfield.resilience.deadline import remaining
from springfield.resources import PAGE_DEFAULT, Collection, Written
from springfield.stores.store import Found, Outcome
from springfield.watching import Unchanged
from springfield.web.conditions import (
    lifetime_of,
    precondition_of,
    require_precondition,
    seconds_to_wait,
)
from springfield.web.handlers.base import Handler
from springfield.web.later import Later
from springfield.web.media import check_media_type, check_patch_type, require_acceptable
from springfield.web.parameters import parameter
from springfield.web.ranges import refuse_part

LAST_DATE = 253_402_300_799
"""The last second, since 1970, that an HTTP date can say: its years have four digits."""

ANSWERING = 0.05
"""Seconds before a client's deadline by which a wait ends, so that the answer is there in time."""

MERGE_PATCH = "application/merge-patch+json"


class ItemHandler(Handler):
    """`/api/v1/{resource}/{name}`: the name is all of the path after the slash."""

    METHODS: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
    _body: bytes | bytearray = b""

    def initialize(self, route: str, collection: Collection, needs_precondition: bool) -> None:
        """Take the route's collection."""
        super().initialize(route)
        self.collection = collection
        self.body_limit = collection.item_limit
        self._needs_precondition = needs_precondition

    def check_write(self) -> None:
        """See Handler: condition, lifetime and media type."""
        headers = self.request.headers
        self._condition = precondition_of(headers)
        self._lifetime = lifetime_of(parameter(self.request, "ttl"))
        if self._needs_precondition:
            require_precondition(headers)
        if self.request.method != "DELETE":
            refuse_part(headers)
        if self.request.method == "PATCH":
            check_patch_type(headers)
        elif self.request.method != "DELETE":
            check_media_type(self.collection.kind, headers)

    def take(self, chunk: bytes) -> None:
        """See Handler: collect the body."""
        if not self._body:
            self._body = chunk  # all of it, mostly
        elif isinstance(self._body, bytes):
            self._body = bytearray(self._body + chunk)
        else:
            self._body += chunk

    def get(self, name: str) -> Awaitable[None] | None:
        """Answer with the item's content, or 304 when the client has it; wait if it wishes so."""
        require_acceptable(self.request.headers, MEDIA_TYPES[self.collection.kind])
        condition = precondition_of(self.request.headers)
        if not condition.is_absent and "Prefer" in self.request.headers.fields:
            return self._get(name, condition)
        item = self.collection.get_soon(name)
        if item is None:
            return self._get(name, condition)
        if not isinstance(item, Item):
            return Later(item, partial(self._found, name, condition))
        self._check_and_send(name, condition, item)
        return None

    def _found(self, name: str, condition: Precondition, found: Found) -> Awaitable[None] | None:
        item = self.collection.fit(name, found)
        if item is None:
            return self._large(name, condition, cast("Item", found))
        self._check_and_send(name, condition, item)
        return None

    async def _large(self, name: str, condition: Precondition, found: Item) -> None:
        self._check_and_send(name, condition, await self.collection.served(name, found))

    def _check_and_send(self, name: str, condition: Precondition, item: Item) -> None:
        tag = item.entity_tag
        self._check_match(name, condition, tag)
        self._send(item, tag, condition)

    async def _get(self, name: str, condition: Precondition) -> None:
        changes = self.collection.watch.changes
        item = await self.collection.get(name)
        tag = item.entity_tag
        self._check_match(name, condition, tag)
        seconds = self._seconds_to_wait() if condition.excludes(tag) else 0
        if seconds:
            # Ten thousand may wait: it is awaited right here, as each coroutine has its price, and
            # nobody holds the content that the client has, nor header fields that are set anew.
            item = item.without_content()
            self.fields = Headers()
            started = time.monotonic()
            self.traffic.waiting += 1
            try:
                found = await self.collection.wait(name, condition, seconds, changes)
                item = await self.collection.served(name, found)
                tag = item.entity_tag
            except Unchanged:
                pass
            finally:
                self.traffic.waiting -= 1
                self.waited = time.monotonic() - started
            self.clear()  # Date is of the answer, and perhaps the service stops
            if seconds >= 1:  # RFC 7240, section 4.3: whole seconds; none is no wait
                self.set_header("Preference-Applied", f"wait={int(seconds)}")
        self._send(item, tag, condition)

    head = get

    def post(self, name: str) -> Awaitable[None]:
        """Insert or overwrite the item: 204."""
        content = bytes(self._body)
        if self._condition.is_absent:
            outcome = self.collection.put_soon(name, content, self._lifetime)
            if outcome is not None:
                return Later(outcome, partial(self._put, name, content))
        return self._post(name, content)

    def _put(self, name: str, content: bytes, outcome: Outcome) -> None:
        self._written(self.collection.written(name, content, outcome))

    async def _post(self, name: str, content: bytes) -> None:
        self._written(await self.collection.put(name, content, self._condition, self._lifetime))

    def _written(self, written: Written) -> None:
        # RFC 9110, section 9.3.4: after a PUT only where the content was kept as it was sent.
        if self.request.method == "POST" or written.is_verbatim:
            self.set_header("Etag", f'"{written.entity_tag}"')
        self.set_status(204)

    put = post

    def delete(self, name: str) -> Awaitable[None]:
        """Remove the item: 204, also when it was absent."""
        if self._condition.is_absent:
            refusal = self.collection.delete_soon(name)
            return Later(refusal, partial(self._deleted, name))
        return self._delete(name)

    def _deleted(self, name: str, refusal: SpringfieldError | None) -> None:
        self.collection.deleted(name, refusal)
        self.set_status(204)

    async def _delete(self, name: str) -> None:
        await self.collection.delete(name, self._condition)
        self.set_status(204)

    def _seconds_to_wait(self) -> float:
        seconds: float = seconds_to_wait(self.request.headers, self.shared.wait_limit)
        if (left := remaining()) is not None:
            seconds = min(seconds, max(0, left - ANSWERING))
        if self.request.method == "HEAD" or not seconds or self.traffic.is_stopping:
            return 0
        return seconds

    def _check_match(self, name: str, condition: Precondition, tag: str) -> None:
        if not condition.matches(tag):
            raise PreconditionFailed(f"If-Match is false: {name} is another than you think.")

    def _send(self, item: Item, tag: str, condition: Precondition) -> None:
        self._describe(item, tag)
        if condition.excludes(tag):
            self.set_status(304)
            return
        self.fields.fields["Content-Type"] = MEDIA_TYPES[self.collection.kind]
        self.write(item.content)

    def _describe(self, item: Item, tag: str) -> None:
        fields = self.fields.fields
        fields["Vary"] = "Accept"
        fields["Etag"] = f'"{tag}"'
        fields["Cache-Control"] = "no-cache"
        # RFC 8594; the item ends within the second before
        if item.expires_at is not None and item.expires_at <= LAST_DATE:
            self.set_header("Sunset", formatdate(math.ceil(item.expires_at), usegmt=True))


class JSONItemHandler(ItemHandler):
    """The same for JSON, which can be changed in part."""

    METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

    def options(self, *_: str) -> None:
        """Answer with the methods, and what a patch is written in (RFC 5789, section 3.1)."""
        super().options()
        self.set_header("Accept-Patch", MERGE_PATCH)

    def check_write(self) -> None:
        """See ItemHandler: a patch keeps the lifetime that the item has."""
        super().check_write()
        if self.request.method == "PATCH" and parameter(self.request, "ttl"):
            raise InvalidParameter("A PATCH keeps the item's lifetime; set ttl with PUT or POST.")

    async def patch(self, name: str) -> None:
        """Merge the body into the item (RFC 7396): 204."""
        tag = await self.collection.patch(name, bytes(self._body), self._condition)
        self.set_header("Etag", f'"{tag}"')
        self.set_status(204)


class NamesHandler(Handler):
    """`/api/v1/{resource}`: the names, a page at a time, in byte order."""

    def initialize(self, route: str, collection: Collection | ObjectCollection) -> None:
        """Take the route's collection."""
        super().initialize(route)
        self.collection = collection

    async def get(self) -> None:
        """Answer with a page: `{"names": […], "next": cursor or null}`, and a link to the next."""
        self.set_header("Vary", "Accept")
        require_acceptable(self.request.headers, MEDIA_TYPES[Kind.JSON])
        limit = parameter(self.request, "limit")
        limit = str(PAGE_DEFAULT) if limit is None else limit
        prefix = parameter(self.request, "prefix") or ""
        if not limit.isdecimal() or not limit.isascii():
            raise InvalidParameter(f"limit={limit!a} is not a number.")
        cursor = parameter(self.request, "cursor")
        page = await self.collection.page(prefix, cursor, int(limit.lstrip("0")[:9] or 0))
        if page.cursor is not None:
            query = urlencode({"prefix": prefix, "limit": limit, "cursor": page.cursor})
            self.set_header("Link", f'<{self.request.path}?{query}>; rel="next"')
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-cache")
        body = {"names": page.names, "next": page.cursor}
        self.write(json.dumps(body, ensure_ascii=False).encode())

    head = get

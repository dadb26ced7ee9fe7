"""In charge of what a handler may do with named items. The rules that hold for every store."""

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from springfield.content import check_content, check_stored
from springfield.errors import (
    InvalidContent,
    InvalidParameter,
    Missing,
    NotStorable,
    SpringfieldError,
    TooLarge,
    Unreadable,
)
from springfield.model import Item, Kind, Name, parse_name
from springfield.stores.objects import ObjectInfo, ObjectStore, OpenObject
from springfield.stores.store import Store

PAGE_DEFAULT = 100
PAGE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, in byte order; `cursor` continues it, None ends it."""

    names: Sequence[Name]
    cursor: str | None


class Collection:
    """Named items of one kind on one store, whichever it is.

    Every method raises the errors of `springfield.errors` and no others. Names are raw strings:
    the rule for them is applied here.
    """

    def __init__(self, resource: str, kind: Kind, store: Store, item_limit: int) -> None:
        self.resource = resource
        self.kind = kind
        self.item_limit = item_limit
        self._store = store
        self._singular = resource.removesuffix("s")

    async def get(self, raw_name: str) -> Item:
        """Return the item; raise Missing, or Unreadable when it is not of this kind."""
        name = parse_name(raw_name)
        found = (await self._store.read([name])).get(name)
        if found is None:
            raise Missing(f"Missing {self._singular}: {name}")
        if isinstance(found, SpringfieldError):
            raise found
        try:
            check_stored(self.kind, found.content)
        except InvalidContent as error:
            raise Unreadable(
                f"What the store holds as {self._singular} {name} cannot be served as "
                f"{self.kind}. {error}"
            ) from error
        return found

    async def put(self, raw_name: str, content: bytes) -> None:
        """Insert or overwrite; when this returns, the item survives the loss of the process."""
        name = parse_name(raw_name)
        if len(content) > self.item_limit:
            raise too_large(self.item_limit)
        check_content(self.kind, content)
        refused = await self._store.write({name: Item(content)})
        if name in refused:
            raise refused[name]

    async def delete(self, raw_name: str) -> None:
        """Remove the item; an absent one is no error."""
        name = parse_name(raw_name)
        refused = await self._store.delete([name])
        if name in refused and not isinstance(refused[name], NotStorable):
            raise refused[name]

    async def page(self, prefix: str, cursor: str | None, limit: int) -> Page:
        """Return up to `limit` (1 to 1000) names that start with `prefix`, in byte order."""
        if not 1 <= limit <= PAGE_LIMIT:
            raise InvalidParameter(f"limit={limit} is out of range; ask for 1 to {PAGE_LIMIT}.")
        after = None if cursor is None else _decode_cursor(cursor)
        names = await self._store.names(prefix, after, limit + 1)
        if len(names) <= limit:
            return Page(names, None)
        return Page(names[:limit], _encode_cursor(names[limit - 1]))


class StoredObject:
    """One object of any size, streamed."""

    def __init__(self, resource: str, store: ObjectStore, object_limit: int) -> None:
        self.resource = resource
        self.object_limit = object_limit
        self._store = store

    async def stat(self) -> ObjectInfo:
        """Return the object's facts; raise Missing."""
        info = await self._store.stat()
        if info is None:
            raise self.missing()
        return info

    def open(self) -> AbstractAsyncContextManager[OpenObject | None]:
        """Open the object for reading; None when there is none."""
        return self._store.open()

    def missing(self) -> Missing:
        """Return the error that says that there is no object."""
        return Missing(f"Missing object: {self.resource}")

    async def put(self, chunks: AsyncIterator[bytes], media_type: str | None) -> ObjectInfo:
        """Replace the object; over the limit raises TooLarge and leaves the old one as it was."""
        return await self._store.write(self._bounded(chunks), media_type)

    async def delete(self) -> None:
        """Remove the object; an absent one is no error."""
        await self._store.delete()

    async def _bounded(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self.object_limit:
                raise too_large(self.object_limit)
            yield chunk


def too_large(limit: int) -> TooLarge:
    """Return the error for a body over `limit` bytes."""
    return TooLarge(f"The body is over the limit of {limit} bytes; send less.")


def _encode_cursor(name: Name) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str) -> Name:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return parse_name(base64.b64decode(padded, altchars=b"-_", validate=True).decode())
    except (binascii.Error, ValueError, SpringfieldError):
        raise InvalidParameter(
            "The cursor is not one that this service gave; start without it."
        ) from None

"""In charge of what a handler may do with streamed objects: one, or any number by name."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from springfield.errors import Missing, PreconditionFailed, Unavailable
from springfield.model import UNCONDITIONAL, Precondition, parse_name
from springfield.resources import ATTEMPTS, Page, page_of, too_large
from springfield.stores.objects import Expected, ObjectInfo, Objects, ObjectStore, OpenObject, Part


class StoredObject:
    """One object of any size, streamed. `label` is what messages call it."""

    def __init__(self, label: str, store: ObjectStore, object_limit: int) -> None:
        self.object_limit = object_limit
        self._label = label
        self._store = store

    async def stat(self) -> ObjectInfo:
        """Return the object's facts; raise Missing."""
        info = await self._store.stat()
        if info is None:
            raise self.missing()
        return info

    def open(self, part: Part | None = None) -> AbstractAsyncContextManager[OpenObject | None]:
        """Open the object, or a part of one version; None when there is none of it."""
        return self._store.open(part)

    def missing(self) -> Missing:
        """Return the error that says that there is no object."""
        return Missing(f"Missing object: {self._label}")

    async def put(
        self,
        chunks: AsyncIterator[bytes],
        media_type: str | None,
        condition: Precondition = UNCONDITIONAL,
    ) -> ObjectInfo:
        """Replace the object; over the limit raises TooLarge and leaves the old one as it was.

        Raises PreconditionFailed before any of `chunks` is asked for, if it is false by then.
        """
        expected = None if condition.is_absent else await self._expected(condition)
        info = await self._store.write(self._bounded(chunks), media_type, expected)
        if info is None:
            await self._expected(condition)
            raise self._raced()  # the body is gone: it cannot be sent again
        return info

    async def delete(self, condition: Precondition = UNCONDITIONAL) -> None:
        """Remove the object; an absent one is no error, unless `condition` says so."""
        if condition.is_absent:
            await self._store.delete()
            return
        for _ in range(ATTEMPTS):
            expected = await self._expected(condition)
            if expected.entity_tag is None or await self._store.delete(expected):
                return
        raise self._raced()

    async def _expected(self, condition: Precondition) -> Expected:
        info = await self._store.stat()
        tag = None if info is None else info.entity_tag
        if not condition.allows(tag):
            raise PreconditionFailed(
                f"The precondition is false: the object {self._label} "
                + ("does not exist." if tag is None else "is another than you think.")
            )
        return Expected(tag)

    def _raced(self) -> Unavailable:
        return Unavailable(
            f"Others changed the object {self._label} in between; nothing was written. Try again."
        )

    async def _bounded(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self.object_limit:
                raise too_large(self.object_limit)
            yield chunk


class SingleObject:
    """A resource that is one object."""

    def __init__(self, resource: str, store: ObjectStore, object_limit: int) -> None:
        self.resource = resource
        self.object_limit = object_limit
        self._stored = StoredObject(resource, store, object_limit)

    def at(self) -> StoredObject:
        """Return the object."""
        return self._stored


class ObjectCollection:
    """A resource of any number of objects, by name."""

    def __init__(self, resource: str, store: Objects, object_limit: int) -> None:
        self.resource = resource
        self.object_limit = object_limit
        self._store = store

    def at(self, raw_name: str) -> StoredObject:
        """Return the object of this name; it need not exist."""
        name = parse_name(raw_name)
        label = f"{self.resource}/{name}"
        return StoredObject(label, self._store.at(name), self.object_limit)

    async def page(self, prefix: str, cursor: str | None, limit: int) -> Page:
        """Return a page of names; see Collection.page."""
        return await page_of(self._store.names, prefix, cursor, limit)

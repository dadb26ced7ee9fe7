"""In charge of what a handler may do with named items. The rules that hold for every store."""

import asyncio
import base64
import binascii
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from springfield.content import check_content, check_stored, parse_json
from springfield.errors import (
    InvalidContent,
    InvalidParameter,
    Missing,
    NotStorable,
    PreconditionFailed,
    SpringfieldError,
    TooLarge,
    Unavailable,
    Unreadable,
)
from springfield.merging import merge_patch
from springfield.model import (
    UNCONDITIONAL,
    Item,
    Kind,
    Name,
    Precondition,
    entity_tag_of,
    parse_name,
)
from springfield.offloading import LARGE, compute
from springfield.stores.store import Found, Gathering, Outcome, at_once
from springfield.watching import Watch

T = TypeVar("T")

PAGE_DEFAULT = 100
PAGE_LIMIT = 1000

ATTEMPTS = 8
"""How often a conditional write is evaluated anew before it is given up."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, in byte order; `cursor` continues it, None ends it."""

    names: Sequence[Name]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Written:
    """A write that was done; the next GET serves the very bytes that were sent if `is_verbatim`."""

    entity_tag: str
    is_verbatim: bool


class Collection:
    """Named items of one kind on one store, whichever it is.

    Every method raises the errors of `springfield.errors` and no others. Names are raw strings:
    the rule for them is applied here.
    """

    def __init__(
        self, resource: str, kind: Kind, store: Gathering, item_limit: int, tick: float = 1.0
    ) -> None:
        self.resource = resource
        self.kind = kind
        self.item_limit = item_limit
        self.watch = Watch(store, tick)
        self._store = store
        self._read_at_once = at_once(store)
        self._singular = resource.removesuffix("s")

    async def get(self, raw_name: str) -> Item:
        """Return the item; raise Missing, or Unreadable when it is not of this kind."""
        return await self.served(raw_name, await self._find(parse_name(raw_name)))

    def get_soon(self, raw_name: str) -> "Item | asyncio.Future[Found] | None":
        """Return the item if that takes no wait, or the future of what is to be given to `fit`.

        None, and nothing was done, where `get` is quicker: nobody else reads.
        """
        name = parse_name(raw_name)
        found = self._read_at_once([name])
        if found is not None and (item := self.fit(name, found.get(name))) is not None:
            return item
        return self._store.read_soon(name)

    def fit(self, raw_name: str, found: Found) -> Item | None:
        """Return what was found if it can be served, else raise what is wrong; None: ask `served`.

        That is for what is large: to look at it takes a thread.
        """
        name = Name(raw_name)
        if found is None:
            raise self._missing(name)
        if isinstance(found, SpringfieldError):
            raise found
        if len(found.content) > LARGE:
            return None
        self._check_readable(name, found)
        return found

    async def served(self, raw_name: str, found: Item | None) -> Item:
        """Return what was found, fit to be served; raise Missing, or Unreadable."""
        name = parse_name(raw_name)
        if found is None:
            raise self._missing(name)
        await self._computed(len(found.content), lambda: self._check_readable(name, found))
        return found

    def wait(
        self, raw_name: str, condition: Precondition, seconds: float, since: int
    ) -> "asyncio.Future[Item | None]":
        """Return what will be there when If-None-Match of `condition` is true of it; see Watch."""
        return self.watch.wait(parse_name(raw_name), condition, seconds, since)

    def put_soon(
        self, raw_name: str, content: bytes, ttl: int | None = None
    ) -> "asyncio.Future[Outcome] | None":
        """Begin what `put` does without a condition; its outcome is to be given to `written`.

        None, and nothing was done, where the content is large: to look at it takes a thread.
        """
        name = parse_name(raw_name)
        if self.kind is Kind.JSON and len(content) > LARGE:
            return None
        return self._store.write_soon(name, self._checked(content, ttl=ttl))

    def written(self, raw_name: str, content: bytes, outcome: Outcome) -> Written:
        """Return what was written, or raise what was wrong; whoever waits for the name is told."""
        if isinstance(outcome, SpringfieldError):
            raise outcome
        self.watch.changed(Name(raw_name))
        return Written(outcome, self._store.verbatim or outcome == entity_tag_of(content))

    async def put(
        self,
        raw_name: str,
        content: bytes,
        condition: Precondition = UNCONDITIONAL,
        ttl: int | None = None,
    ) -> Written:
        """Insert or overwrite; when this returns, the item survives the loss of the process.

        Raises PreconditionFailed when `condition` is false for what the store holds.
        """
        name = parse_name(raw_name)
        item = await self._computed(len(content), lambda: self._checked(content, ttl=ttl))
        if condition.is_absent:
            return self.written(name, content, await self._store.write_soon(name, item))
        tag = await self._change(name, condition, item)
        return Written(tag, self._store.verbatim or tag == entity_tag_of(content))

    async def patch(
        self, raw_name: str, change: bytes, condition: Precondition = UNCONDITIONAL
    ) -> str:
        """Merge JSON into the item (RFC 7396), atomically, and keep its lifetime.

        Returns the new entity tag; raises Missing, PreconditionFailed.
        """
        name = parse_name(raw_name)
        await self._computed(len(change), lambda: parse_json(change))

        async def merged(found: Item | None) -> Item:
            if found is None:
                raise self._missing(name)
            size = len(found.content) + len(change)
            return await self._computed(size, lambda: self._merged(name, found, change))

        return await self._change(name, condition, merged)

    def _merged(self, name: Name, found: Item, change: bytes) -> Item:
        self._check_readable(name, found)
        try:
            content = merge_patch(found.content.decode(), change.decode()).encode()
            return self._checked(content, expires_at=found.expires_at)
        except (InvalidContent, NotStorable) as error:  # the change by itself is well
            raise NotStorable(
                f"What the store holds as {self._singular} {name} cannot be changed in part; "
                f"replace it whole. {error}"
            ) from error

    def delete_soon(self, raw_name: str) -> "asyncio.Future[SpringfieldError | None]":
        """Begin what `delete` does without a condition; the outcome is to be given to `deleted`."""
        return self._store.delete_soon(parse_name(raw_name))

    def deleted(self, raw_name: str, refusal: SpringfieldError | None) -> None:
        """Raise what was wrong, if anything was; whoever waits for the name is told."""
        if refusal is not None and not isinstance(refusal, NotStorable):
            raise refusal
        self.watch.changed(Name(raw_name))

    async def delete(self, raw_name: str, condition: Precondition = UNCONDITIONAL) -> None:
        """Remove the item; an absent one is no error, unless `condition` says so."""
        if condition.is_absent:
            self.deleted(raw_name, await self.delete_soon(raw_name))
        else:
            await self._change(parse_name(raw_name), condition, None)

    async def _change(
        self,
        name: Name,
        condition: Precondition,
        new: Item | Callable[[Item | None], Awaitable[Item]] | None,
    ) -> str:
        """Read, check, and let the store decide; who loses a race looks again."""
        for attempt in range(ATTEMPTS):
            found = await self._find(name)
            if not condition.allows(None if found is None else found.entity_tag):
                raise PreconditionFailed(
                    f"The precondition is false: {self._singular} {name} "
                    + ("does not exist." if found is None else "is another than you think.")
                )
            item = await new(found) if callable(new) else new
            if found is None and item is None:
                return ""
            swapped = await self._store.swap(name, found, item)
            if swapped is not None:
                self.watch.changed(name)
                return swapped.entity_tag or ""
            await asyncio.sleep(random.uniform(0, 0.002 * 2**attempt))  # noqa: S311
        raise Unavailable(
            f"Others changed {self._singular} {name} {ATTEMPTS} times in between; nothing was "
            "written. Try again."
        )

    async def _find(self, name: Name) -> Item | None:
        found = (await self._store.read([name])).get(name)
        if isinstance(found, SpringfieldError):
            raise found
        return found

    async def _computed(self, size: int, call: Callable[[], T]) -> T:
        return await compute(size if self.kind is Kind.JSON else 0, call)

    def _checked(
        self, content: bytes, ttl: int | None = None, expires_at: float | None = None
    ) -> Item:
        if len(content) > self.item_limit:
            raise too_large(self.item_limit)
        check_content(self.kind, content)
        return Item(content, ttl=ttl, expires_at=expires_at)

    def _check_readable(self, name: Name, item: Item) -> None:
        try:
            check_stored(self.kind, item.content)
        except InvalidContent as error:
            raise Unreadable(
                f"What the store holds as {self._singular} {name} cannot be served as "
                f"{self.kind}. {error}"
            ) from error

    def _missing(self, name: Name) -> Missing:
        return Missing(f"Missing {self._singular}: {name}")

    async def page(self, prefix: str, cursor: str | None, limit: int) -> Page:
        """Return up to `limit` (1 to 1000) names that start with `prefix`, in byte order."""
        return await page_of(self._store.names, prefix, cursor, limit)


async def page_of(
    names_of: Callable[[str, Name | None, int], Awaitable[Sequence[Name]]],
    prefix: str,
    cursor: str | None,
    limit: int,
) -> Page:
    """Return a page of the names that a store gives; raise InvalidParameter."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise InvalidParameter(f"The limit is out of range; ask for 1 to {PAGE_LIMIT} names.")
    after = None if cursor is None else _decode_cursor(cursor)
    names = await names_of(prefix, after, limit + 1)
    if len(names) <= limit:
        return Page(names, None)
    return Page(names[:limit], _encode_cursor(names[limit - 1]))


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

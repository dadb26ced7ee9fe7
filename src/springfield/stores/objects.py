"""In charge of the second port: one large object, streamed. S3 and the filesystem satisfy it.

Contract
    Memory does not grow with the object's size. A reader sees the old object or the new one, never
    a mixture. An upload that fails or is cancelled leaves the old object as it was.

Cancellation
    Leaving `open` early closes the transfer. A cancelled `write` leaves nothing behind.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from springfield.model import Name
from springfield.stores.store import Upkeep

CHUNK = 256 * 1024
"""Bytes handed on at a time, both ways, where nothing speaks for more."""

LARGEST_CHUNK = 1024 * 1024
"""The most bytes that a reader is given at a time."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of an object without its bytes."""

    size: int
    entity_tag: str
    """Strong, without quotes."""
    media_type: str | None = None
    """As given at the upload; None when unknown."""
    encoding: str | None = None
    """The Content-Encoding that another program gave, for which the bytes stand as they are."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of one version of an object: from `start` up to, not including, `stop`."""

    start: int
    stop: int
    entity_tag: str


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An object being read: its facts, and its bytes (or its part's) in chunks of up to 1 MiB."""

    info: ObjectInfo
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be there when a write takes effect: the object of this tag, or none (None)."""

    entity_tag: str | None


class ObjectStore(Upkeep, Protocol):
    """One object at a place that the URL names."""

    async def stat(self) -> ObjectInfo | None:
        """Return the object's facts, or None when there is none."""
        ...

    def open(self, part: Part | None = None) -> AbstractAsyncContextManager[OpenObject | None]:
        """Open the object for reading, or a part of it.

        Gives None when there is none, or when `part` is of another version than is there now.
        """
        ...

    async def write(
        self,
        chunks: AsyncIterator[bytes],
        media_type: str | None,
        expected: Expected | None = None,
    ) -> ObjectInfo | None:
        """Replace the object by what `chunks` yields, at once and durably.

        With `expected` the store itself decides, when the new object would take its place; None
        is the answer when something else is there, and nothing was changed. A store that does not
        know conditions raises NotStorable, rather than ignore them.
        """
        ...

    async def delete(self, expected: Expected | None = None) -> bool:
        """Remove the object; an absent one is no error. False when `expected` is not there."""
        ...

    async def ping(self) -> None:
        """Return when the object could be asked for; its absence is healthy."""
        ...


class Objects(Upkeep, Protocol):
    """Any number of objects, by name, at a place that the URL names."""

    def at(self, name: Name) -> ObjectStore:
        """Return the object of this name; it need not exist."""
        ...

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """See Store.names."""
        ...

    async def ping(self) -> None:
        """Return when the place can be asked."""
        ...


def header_value(stored: object) -> str | None:
    """Return what a store says of an object, if it can stand in a header field; else None.

    Other programs write there what they like.
    """
    if isinstance(stored, str) and stored.isascii() and stored.isprintable():
        return stored.strip() or None
    return None

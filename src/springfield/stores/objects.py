"""In charge of the second port: one large object, streamed. S3 and the filesystem satisfy it.

Contract
    Memory does not grow with the object's size. A reader sees the old object or the new one, never
    a mixture. An upload that fails or is cancelled leaves the old object as it was.

Cancellation
    Leaving `open` early closes the transfer. A cancelled `write` leaves nothing behind.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from springfield.stores.store import Upkeep

CHUNK = 256 * 1024
"""Bytes handed on at a time, both ways."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of an object without its bytes."""

    size: int
    entity_tag: str
    """Strong, without quotes."""
    media_type: str | None = None
    """As given at the upload; None when unknown."""


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An object being read: its facts, and its bytes in chunks of at most `CHUNK`."""

    info: ObjectInfo
    chunks: AsyncIterator[bytes]


class ObjectStore(Upkeep, Protocol):
    """One object at a place that the URL names."""

    async def stat(self) -> ObjectInfo | None:
        """Return the object's facts, or None when there is none."""
        ...

    def open(self) -> AbstractAsyncContextManager[OpenObject | None]:
        """Open the object for reading; None when there is none."""
        ...

    async def write(self, chunks: AsyncIterator[bytes], media_type: str | None) -> ObjectInfo:
        """Replace the object by what `chunks` yields, at once and durably."""
        ...

    async def delete(self) -> None:
        """Remove the object; an absent one is no error."""
        ...

    async def ping(self) -> None:
        """Return when the object could be asked for; its absence is healthy."""
        ...

"""In charge of putting a policy around every call to a store. Itself a store, of each kind.

Contract
    A read is repeated as the policy wishes; so is a write, where its failure proves that nothing was
    sent: an adapter's `Unavailable` does. `OutcomeUnknown` is never repeated, nor is what an error of
    a single name in an outcome says. The body of an object is never repeated, and a transfer holds
    no place in the bulkhead while a client sends or takes it: only opening does.

Order
    `Coalesced`, `Guarded`, adapter.

Cancellation
    See `resilience/policy.py`.

Rejected
    To ask a breaker for pings, inspections and sweeps: a healthcheck that does not ask says nothing,
    and none of them comes from a client.
"""

from asyncio import Task
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any

from springfield.errors import SpringfieldError, Unavailable
from springfield.model import Item, Name
from springfield.observability.events import Events, StoreCallFinished
from springfield.resilience.deadline import DeadlinePassed, deadline, within
from springfield.resilience.policy import Observer, Operation, Policy, Progress
from springfield.stores.objects import Expected, ObjectInfo, Objects, ObjectStore, OpenObject, Part
from springfield.stores.store import (
    Adapter,
    Inspection,
    Outcome,
    ReadAtOnce,
    Swapped,
    Upkeep,
    at_once,
)

_READ = Operation("read")
_WRITE = Operation("write", is_write=True)
_SWAP = Operation("swap", is_write=True)
_DELETE = Operation("delete", is_write=True)
_NAMES = Operation("names")
_STAT = Operation("stat")
_OPEN = Operation("open")
_UPLOAD = Operation("write", is_write=True, is_stream=True)


def observer(events: Events, resource: str, product: str) -> Observer:
    """Return what tells each attempt as an event."""

    def observe(operation: str, size: int, started: float, error: BaseException | None) -> None:
        events.publish(
            StoreCallFinished(
                resource, product, operation, size, started, monotonic() - started, error
            )
        )

    return observe


class _Kept:
    """The upkeep of a store, which no policy touches."""

    def __init__(self, store: Upkeep) -> None:
        self._kept = store

    async def inspect(self) -> Inspection:
        """See Upkeep."""
        return await self._kept.inspect()

    async def prepare(self, *, with_ttl: bool = False) -> Sequence[str]:
        """See Upkeep."""
        return await self._kept.prepare(with_ttl=with_ttl)


class Guarded(_Kept):
    """A store for named items."""

    def __init__(self, store: Adapter, policy: Policy) -> None:
        super().__init__(store)
        self.verbatim = store.verbatim
        self._store = store
        self._policy = policy
        if hasattr(store, "read_at_once"):
            self.read_at_once = partial(self._read_at_once, at_once(store))
        if hasattr(store, "sweep"):
            self.sweep = store.sweep

    def _read_at_once(
        self, read: ReadAtOnce, names: Collection[Name]
    ) -> Mapping[Name, Item | SpringfieldError] | None:
        return self._policy.run_at_once(_READ, len(names), read, names)

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        """See Store."""
        return await self._policy.run(_READ, len(names), self._store.read, names)

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, Outcome]:
        """See Store."""
        return await self._policy.run(_WRITE, len(items), self._store.write, items)

    async def swap(self, name: Name, expected: Item | None, new: Item | None) -> Swapped | None:
        """See Store."""
        return await self._policy.run(_SWAP, 1, self._store.swap, name, expected, new)

    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        """See Store."""
        return await self._policy.run(_DELETE, len(names), self._store.delete, names)

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """See Store."""
        return await self._policy.run(_NAMES, limit, self._store.names, prefix, after, limit)

    async def ping(self) -> None:
        """See Store."""
        await self._store.ping()


class GuardedObject(_Kept):
    """A store for one object."""

    def __init__(self, store: ObjectStore, policy: Policy) -> None:
        super().__init__(store)
        self._store = store
        self._policy = policy

    async def stat(self) -> ObjectInfo | None:
        """See ObjectStore."""
        return await self._policy.run(_STAT, 1, self._store.stat)

    @asynccontextmanager
    async def open(self, part: Part | None = None) -> AsyncIterator[OpenObject | None]:
        """See ObjectStore. A caller's deadline holds for each chunk as well."""
        async with AsyncExitStack() as stack:

            async def enter() -> OpenObject | None:
                return await stack.enter_async_context(self._store.open(part))

            opened = await self._policy.run(_OPEN, 1, enter)
            until = deadline.get()
            if opened is None or until is None:
                yield opened
            else:
                yield OpenObject(opened.info, _in_time(until, opened.chunks))

    async def write(
        self,
        chunks: AsyncIterator[bytes],
        media_type: str | None,
        expected: Expected | None = None,
    ) -> ObjectInfo | None:
        """See ObjectStore. Never repeated."""
        body = _Body(chunks)
        return await self._policy.run(
            _UPLOAD, 1, self._store.write, body, media_type, expected, progress=body
        )

    async def delete(self, expected: Expected | None = None) -> bool:
        """See ObjectStore."""
        return await self._policy.run(_DELETE, 1, self._store.delete, expected)

    async def ping(self) -> None:
        """See ObjectStore."""
        await self._store.ping()


class GuardedObjects(_Kept):
    """A store for any number of objects, which share the policy."""

    def __init__(self, store: Objects, policy: Policy) -> None:
        super().__init__(store)
        self._store = store
        self._policy = policy

    def at(self, name: Name) -> GuardedObject:
        """See Objects."""
        return GuardedObject(self._store.at(name), self._policy)

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """See Store.names."""
        return await self._policy.run(_NAMES, limit, self._store.names, prefix, after, limit)

    async def ping(self) -> None:
        """See Objects."""
        await self._store.ping()


class _Body(Progress):
    """The body of an upload. Before its end is read the old object cannot have been replaced."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks

    def __aiter__(self) -> "_Body":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            self.is_sent = True
            raise


async def _in_time(until: float, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    late: set[Task[Any]] = set()
    while True:
        try:
            yield await within(until, late, anext, chunks)
        except StopAsyncIteration:
            return
        except DeadlinePassed as error:
            raise Unavailable(
                "The object was not read within the caller's deadline.", slow=True
            ) from error

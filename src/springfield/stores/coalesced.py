"""In charge of turning the calls of concurrent requests for single names into batches. Itself a store.

Contract
    As Store says, and what a caller sees is what it would see without: an answer or an error of its
    own, in its own time. A read reflects every write that was acknowledged before it began. A lone
    call goes at once. How reads are gathered: `coalescing/reads.py`; writes, swaps and deletes:
    `changes.py`; when waves go, and how large they may be: `waves.py`.

Order
    `Coalesced`, `Guarded`, adapter: a policy sees one call a wave. What reads several names at once is
    a batch already and goes through; so does a read that a Prompt store answers at once.

Cancellation
    Who is cancelled leaves, and disturbs nobody; a read for nobody any more is cancelled. A write that
    was sent is not.

Defaults
    Always on. The bounds are constants of `waves.py`, and adjust themselves.

Rejected
    A task, a timer or a lock for each caller: a caller costs a future.
    A setting to switch it off: a lone read costs nothing, and two ways to read would both be tested.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import cast

from springfield.errors import SpringfieldError
from springfield.model import Item, Name
from springfield.stores.coalescing.changes import Change, Changes
from springfield.stores.coalescing.reads import Reads
from springfield.stores.store import Adapter, Found, Inspection, Outcome, Swapped, at_once


class Coalesced:
    """A store for named items. `label` is for people: "Redis (marges)"."""

    def __init__(self, store: Adapter, label: str) -> None:
        self.verbatim = store.verbatim
        self._store = store
        self.read_at_once = at_once(store)
        self._reads = Reads(store, label)
        self._changes = Changes(store, label)
        if hasattr(store, "sweep"):
            self.sweep = store.sweep

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        """See Store."""
        if len(names) != 1:
            return await self._store.read(names)
        found = self.read_at_once(names)
        if found is not None:
            return found
        if self._reads.is_idle:
            return await self._reads.read_alone(names)
        (name,) = names
        item = await self._reads.read(name)
        return {} if item is None else {name: item}

    def read_soon(self, name: Name) -> "asyncio.Future[Found] | None":
        """See Gathering."""
        return None if self._reads.is_idle else self._reads.read(name)

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, Outcome]:
        """See Store."""
        changes, way = self._changes, self._changes.writes
        if len(items) == 1:
            ((name, item),) = items.items()
            return {name: await changes.one(way, name, item)}
        asked = [Change(way, name, item, None) for name, item in items.items()]
        return dict(zip(items, await changes.many(asked), strict=True))

    def write_soon(self, name: Name, item: Item) -> "asyncio.Future[Outcome]":
        """See Gathering. What was sent is done, even if the future is cancelled."""
        return self._changes.one(self._changes.writes, name, item)

    def delete_soon(self, name: Name) -> "asyncio.Future[SpringfieldError | None]":
        """See Gathering. What was sent is done, even if the future is cancelled."""
        return self._changes.one(self._changes.deletes, name, None)

    async def swap(self, name: Name, expected: Item | None, new: Item | None) -> Swapped | None:
        """See Store."""
        return cast("Swapped | None", await self._changes.one(None, name, new, expected))

    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        """See Store."""
        changes, way = self._changes, self._changes.deletes
        if len(names) == 1:
            (name,) = names
            refusal = await self.delete_soon(name)
            return {} if refusal is None else {name: refusal}
        different = dict.fromkeys(names)
        refusals = await changes.many([Change(way, name, None, None) for name in different])
        return {name: r for name, r in zip(different, refusals, strict=True) if r is not None}

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """See Store."""
        return await self._store.names(prefix, after, limit)

    async def ping(self) -> None:
        """See Store."""
        await self._store.ping()

    async def inspect(self) -> Inspection:
        """See Upkeep."""
        return await self._store.inspect()

    async def prepare(self, *, with_ttl: bool = False) -> Sequence[str]:
        """See Upkeep."""
        return await self._store.prepare(with_ttl=with_ttl)

    async def close(self, timeout: float) -> None:
        """Wait for what was sent, for `timeout` seconds at most; cancel what is left.

        Nothing may be asked from now on.
        """
        await asyncio.gather(self._reads.close(timeout), self._changes.close(timeout))

"""In charge of the port: what a backend must be able to do. Every adapter and wrapper is one.

Contract
    * *Batch first*: an operation takes any number of names and costs one wave, whatever their
      number: one command where the store has one, one per shard on a cluster, bounded
      parallelism on S3. Callers bound their batches by count and by bytes.
    * *One fails alone*: what is wrong with one name of a batch (it holds a list, its value is
      too long) is in that name's outcome; what is wrong with the store is raised as
      `Unavailable`, `OutcomeUnknown` or `Misconfigured`.
    * Where names have servers or requests of their own (a Redis cluster, S3), what is wrong with the
      store is raised only when it is true of all of them; else it is in those names' outcomes.
    * *The store decides*: `swap` carries the very value that was read as its condition, in the
      write itself. Nothing is locked, and nothing is read in between.
    * *Lifetimes* are by the store's clock, to the millisecond. From its end on an item is absent
      for every operation, whenever the store's own sweeper removes it. A store that cannot expire
      items refuses the wish (`NotStorable`). A write without a lifetime ends an earlier one.
    * *Whole*: a write is seen by readers entirely or not at all, and a write that returned
      survives the loss of the process.
    * *Exact*: names and contents come back byte for byte, or are refused (`NotStorable`,
      `NameCollision`); nothing is folded, cut or put into another name's place.
    * No driver exception escapes; it is the `__cause__` of ours.

Cancellation
    A cancelled call leaves the store usable, and its reply never reaches another caller. A write
    that was sent may still happen.

Rejected
    One name a call: a batch of one costs the same, and batching is what makes drivers cheap.
    An exception for the first failure of a batch: the other callers of that batch would lose
    their results.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from springfield.errors import SpringfieldError
from springfield.model import Item, Kind, Name

Outcome = str | SpringfieldError
"""Of a write: the entity tag that the next read gives (without quotes), or what was wrong."""


@dataclass(frozen=True, slots=True)
class Swapped:
    """A swap that was won. `entity_tag` is that of the new item, None when it was a deletion."""

    entity_tag: str | None


class Store(Protocol):
    """Named items of one kind."""

    verbatim: bool
    """Whether a read gives the very bytes that were written; JSON in MongoDB is rendered anew."""

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        """Return the items that exist; an absent name is absent from the answer."""
        ...

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, Outcome]:
        """Insert or overwrite. Return an outcome for each name: its new entity tag, or an error."""
        ...

    async def swap(self, name: Name, expected: Item | None, new: Item | None) -> Swapped | None:
        """Put `new` in the place of `expected`, or return None when that is not there any more.

        `expected` is an item that this store has read, None for an absent one; `new` None deletes.
        Raises what is wrong with the name or the content. A lost answer is OutcomeUnknown, and is
        never repeated: the winner of a race would be told that it lost.
        """
        ...

    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        """Remove what exists. Return what was refused; an absent name is no error."""
        ...

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """Return up to `limit` names that start with `prefix`, in byte order, behind `after`.

        Names that other programs wrote and that are not legal here are left out. An answer
        shorter than `limit` is the end of the list.
        """
        ...

    async def ping(self) -> None:
        """Return when the store can serve this resource; raise a StoreError otherwise."""
        ...


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `springfield check` says of a store."""

    product: str
    """For people: "MariaDB", "Valkey"."""
    version: str
    warnings: Sequence[str] = ()
    """One sentence each: what is risky, and what to change."""


class Upkeep(Protocol):
    """What an operator does to a store before and beside the service. Adapters have it."""

    async def inspect(self) -> Inspection:
        """Ask the server what it is and how safe its settings are."""
        ...

    async def prepare(self, *, with_ttl: bool = False) -> Sequence[str]:
        """Create what is missing (a table, an index, a bucket); say what was done, a sentence each.

        May be run twice; never alters what is there. `with_ttl` asks for what lifetimes need where
        that is more than a table of our own (MongoDB); others take no notice of it.
        """
        ...


class PoolStatus(NamedTuple):
    """What a store's pool of connections (or threads) is doing."""

    size: float
    """The most that it will have; may be infinite."""
    open: int
    in_use: int
    waiting: int
    """Calls that wait for one."""


class Pooled(Protocol):
    """A store with a pool."""

    def pool(self) -> PoolStatus:
        """Say what the pool is doing. Any thread may ask."""
        ...


class Expiring(Protocol):
    """A store whose expired items stay until they are swept; they are absent all the while."""

    async def sweep(self) -> int:
        """Remove some expired items in one short step; return how many."""
        ...


ReadAtOnce = Callable[[Collection[Name]], Mapping[Name, Item | SpringfieldError] | None]


class Prompt(Protocol):
    """A store that can answer a read sooner than a batch could be gathered, or a task begin."""

    def read_at_once(
        self, names: Collection[Name]
    ) -> Mapping[Name, Item | SpringfieldError] | None:
        """Return what `read` would; None, and nothing was done, where that takes a wait now."""
        ...


def at_once(store: object) -> ReadAtOnce:
    """Return the `read_at_once` of a store; of one that is not Prompt, what always returns None."""
    found: ReadAtOnce = getattr(store, "read_at_once", _never)
    return found


def _never(names: Collection[Name]) -> None:
    del names


Found = Item | SpringfieldError | None
"""Of a read of one name: the item, what is wrong with it, or None where there is none."""


class Gathering(Store, Protocol):
    """A store that carries the calls of many callers together: each of them has a future, and no task.

    The deadline of the caller's context holds. What is wrong with the store is raised by the future.
    """

    def read_soon(self, name: Name) -> "asyncio.Future[Found] | None":
        """Do what `read` does for one name; None, and nothing was done, where `read` is quicker."""
        ...

    def write_soon(self, name: Name, item: Item) -> "asyncio.Future[Outcome]":
        """Do what `write` does for one name."""
        ...

    def delete_soon(self, name: Name) -> "asyncio.Future[SpringfieldError | None]":
        """Do what `delete` does for one name; the result is what was refused."""
        ...


class Adapter(Store, Upkeep, Protocol):
    """What `open_store` yields: a store with its upkeep."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """What every adapter is told beside its URL."""

    resource: str
    """The resource's name: the default for a table's or a collection's name."""
    kind: Kind
    item_limit: int = 1024 * 1024
    """The largest item, in bytes."""
    timeout: float = 2.0
    """Seconds that one call to the store may take, connecting included."""
    pool_size: int = 16
    """The most connections (or threads) at the same time."""

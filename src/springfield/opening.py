"""In charge of opening the store of every resource, and of warning of what an operator should know of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from springfield.errors import Misconfigured, SpringfieldError, Unsuitable
from springfield.model import Kind
from springfield.settings.fields import Binding, Shape
from springfield.settings.table import Settings
from springfield.stores import catalog
from springfield.stores.objects import Objects, ObjectStore
from springfield.stores.store import Adapter, StoreOptions

log = logging.getLogger("springfield.opening")


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A resource's store, open."""

    binding: Binding
    store: Adapter | ObjectStore | Objects

    @property
    def product(self) -> str:
        """What kind of store it is, for people."""
        return catalog.product_of(self.binding.url)


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Sequence[OpenStore]]:
    """Open the store of every resource; the servers need not be there yet.

    Raises Misconfigured with a line for each URL that cannot be right.
    """
    async with AsyncExitStack() as stack:
        opened, mistakes = [], []
        for binding in settings.bindings:
            try:
                opened.append(OpenStore(binding, await _open(stack, binding, settings)))
            except Misconfigured as error:
                mistakes.append(f"{binding.resource}: {error}")
        if mistakes:
            raise Misconfigured("\n".join(mistakes))
        yield opened


def import_adapters(settings: Settings) -> None:
    """Import now what opening the stores would import."""
    for binding in settings.bindings:
        catalog.import_adapter(binding.url)


def shared_places(bindings: Sequence[Binding]) -> list[str]:
    """Return a warning for each place that two resources would write to."""
    places: dict[str, list[str]] = {}
    for binding in bindings:
        places.setdefault(catalog.place_of(binding.url, binding.resource), []).append(
            binding.resource
        )
    return [
        f"{' and '.join(resources)} are kept in one place, so that each overwrites the other's "
        "items; give them tables, prefixes or databases of their own."
        for resources in places.values()
        if len(resources) > 1
    ]


async def greet(opened: Sequence[OpenStore]) -> None:
    """Ask every store once, all at the same time, and warn of what is unreachable or risky."""
    answers = await asyncio.gather(*(_warnings(each) for each in opened), return_exceptions=True)
    for opened_store, answer in zip(opened, answers, strict=True):
        resource = opened_store.binding.resource
        if isinstance(answer, SpringfieldError) and not isinstance(answer, Unsuitable):
            log.warning("%s cannot be served yet: %s", resource, answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            for warning in answer:
                log.warning("%s: %s", resource, warning)


async def _open(
    stack: AsyncExitStack, binding: Binding, settings: Settings
) -> Adapter | ObjectStore | Objects:
    options = StoreOptions(
        resource=binding.resource,
        kind=binding.kind if isinstance(binding.kind, Kind) else Kind.BYTES,
        item_limit=settings.item_limit,
        timeout=settings.of(binding.resource, "store_timeout"),
        pool_size=settings.of(binding.resource, "pool_size"),
    )
    match binding.kind:
        case Shape.OBJECT:
            return await stack.enter_async_context(catalog.open_object(binding.url, options))
        case Shape.OBJECTS:
            return await stack.enter_async_context(catalog.open_objects(binding.url, options))
        case _:
            return await stack.enter_async_context(catalog.open_store(binding.url, options))


async def _warnings(opened: OpenStore) -> Sequence[str]:
    await opened.store.ping()
    return (await opened.store.inspect()).warnings

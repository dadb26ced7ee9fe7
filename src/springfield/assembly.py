"""In charge of turning Settings into running parts. The only file where all of them meet.

Everything is entered in one `AsyncExitStack`, so that the order of stopping mirrors that of starting.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from springfield.errors import SpringfieldError, Unsuitable
from springfield.health import Component, Health
from springfield.model import Kind
from springfield.resources import Collection, StoredObject
from springfield.settings import Binding, Settings
from springfield.stores import catalog
from springfield.stores.objects import ObjectStore
from springfield.stores.store import Adapter, StoreOptions
from springfield.upstream.weather import open_meteo_uri, open_weather
from springfield.web.routes import Service
from springfield.web.safety import Safety, is_loopback_name
from springfield.web.traffic import Traffic

log = logging.getLogger("springfield.assembly")


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A resource's store, open. `adapter` holds items, or `single` one object."""

    binding: Binding
    adapter: Adapter | None
    single: ObjectStore | None

    @property
    def product(self) -> str:
        """What kind of store it is, for people."""
        return catalog.product_of(self.binding.url)

    @property
    def upkeep(self) -> Adapter | ObjectStore:
        """The store, whichever kind it is."""
        store = self.adapter or self.single
        assert store is not None
        return store


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Sequence[OpenStore]]:
    """Open the store of every resource; the servers need not be there yet.

    Raises Misconfigured for a URL that cannot be right.
    """
    async with AsyncExitStack() as stack:
        opened = []
        for binding in settings.bindings:
            if binding.kind is None:
                options = _options(settings, binding)
                single = await stack.enter_async_context(catalog.open_object(binding.url, options))
                opened.append(OpenStore(binding, None, single))
            else:
                options = _options(settings, binding)
                adapter = await stack.enter_async_context(catalog.open_store(binding.url, options))
                opened.append(OpenStore(binding, adapter, None))
        yield opened


@asynccontextmanager
async def assemble(settings: Settings) -> AsyncIterator[Service]:
    """Open everything that the routes lead to; leaving the context closes it.

    A store that is unreachable is warned of and does not stop the service; raises Unsuitable for
    one that could never hold its resource.
    """
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_stores(settings))
        weather = await stack.enter_async_context(
            open_weather(
                settings.weather_uri
                or open_meteo_uri(
                    settings.weather_latitude, settings.weather_longitude, settings.weather_units
                ),
                settings.weather_place,
                settings.weather_timeout,
                settings.weather_client,
            )
        )
        await _greet(opened)
        yield Service(
            collections=[
                Collection(
                    each.binding.resource, each.binding.kind, each.adapter, settings.item_limit
                )
                for each in opened
                if each.adapter is not None and each.binding.kind is not None
            ],
            objects=[
                StoredObject(each.binding.resource, each.single, settings.object_limit)
                for each in opened
                if each.single is not None
            ],
            weather=weather,
            health=Health(
                [
                    Component(each.binding.resource, each.product, each.upkeep.ping)
                    for each in opened
                ],
                settings.health_timeout,
            ),
            safety=Safety(is_loopback_name(settings.host), settings.read_only),
            traffic=Traffic(),
        )


async def _greet(opened: Sequence[OpenStore]) -> None:
    """Ask every store once, all at the same time, and warn of what is unreachable or risky."""
    answers = await asyncio.gather(*(_warnings(each) for each in opened), return_exceptions=True)
    for store, answer in zip(opened, answers, strict=True):
        resource = store.binding.resource
        if isinstance(answer, SpringfieldError) and not isinstance(answer, Unsuitable):
            log.warning("%s cannot be served yet: %s", resource, answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            for warning in answer:
                log.warning("%s: %s", resource, warning)


async def _warnings(store: OpenStore) -> Sequence[str]:
    await store.upkeep.ping()
    return (await store.upkeep.inspect()).warnings


def _options(settings: Settings, binding: Binding) -> StoreOptions:
    return StoreOptions(
        resource=binding.resource,
        kind=binding.kind or Kind.BYTES,
        item_limit=settings.item_limit,
        timeout=settings.store_timeout,
        pool_size=settings.pool_size,
    )

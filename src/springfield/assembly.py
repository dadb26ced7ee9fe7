"""In charge of turning Settings into running parts. The only file where all of them meet.

Everything is entered in one `AsyncExitStack`, so that the order of stopping mirrors that of starting.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from springfield import __version__
from springfield.errors import UpstreamFailed
from springfield.health import Component, Health
from springfield.model import Kind
from springfield.object_resources import ObjectCollection, SingleObject
from springfield.observability.events import Events
from springfield.observability.metrics import Metrics
from springfield.observability.telemetry import Telemetry
from springfield.observability.trace_context import Sampler
from springfield.opening import OpenStore, greet, open_stores, shared_places
from springfield.resilience.breaker import Breaker
from springfield.resilience.policy import Dependency, Limits, Operation, Policy
from springfield.resources import Collection
from springfield.settings.fields import Shape
from springfield.settings.resilience import WEATHER
from springfield.settings.table import Settings
from springfield.stores.coalesced import Coalesced
from springfield.stores.guarded import Guarded, GuardedObject, GuardedObjects, observer
from springfield.stores.objects import Objects, ObjectStore
from springfield.stores.store import Adapter, Expiring, Pooled
from springfield.stores.sweeper import sweeping
from springfield.upstream.cached import Cached, open_cached
from springfield.upstream.weather import (
    CONNECTIONS,
    Condition,
    open_meteo_uri,
    open_weather,
    unanswered,
)
from springfield.web.routes import Service
from springfield.web.safety import Safety, is_loopback_name
from springfield.web.traffic import Traffic

log = logging.getLogger("springfield.assembly")

CURRENT = Operation("current")


@dataclass(frozen=True, slots=True)
class Served:
    """A store as requests use it."""

    opened: OpenStore
    dependency: Dependency
    items: Coalesced | None
    """Where it holds named items: under its policy, with the calls of concurrent requests gathered."""


@asynccontextmanager
async def assemble(settings: Settings, telemetry: Telemetry) -> AsyncIterator[Service]:
    """Open everything that the routes lead to; leaving the context closes it.

    What happens is told to `telemetry`. A store that is unreachable is warned of and
    does not stop the service; raises Unsuitable for one that could never hold its resource.
    """
    events = telemetry.events
    async with AsyncExitStack() as stack:
        # What is flushed at the end comes first: what stores say while they close is not lost.
        sampler = await stack.enter_async_context(_open_traces(settings, events))
        opened = await stack.enter_async_context(open_stores(settings))
        upstream = _upstream(settings, events)
        weather = await stack.enter_async_context(_open_weather(settings, events, upstream.policy))
        for warning in shared_places(settings.bindings):
            log.warning("%s", warning)
        await greet(opened)
        if not settings.read_only:
            expiring = [each.store for each in opened if hasattr(each.store, "sweep")]
            await stack.enter_async_context(sweeping(cast("list[Expiring]", expiring)))
        served = [_serve(each, settings, events) for each in opened]
        for each in served:
            stack.push_async_callback(each.dependency.policy.close)
        stack.push_async_callback(upstream.policy.close)
        for each in served:
            # What was sent is awaited before its policy and its store end.
            if each.items is not None:
                stack.push_async_callback(each.items.close, settings.store_timeout)
        service = _service(settings, served, upstream, weather, telemetry)
        yield replace(service, sampler=sampler)


@asynccontextmanager
async def _open_traces(settings: Settings, events: Events) -> AsyncIterator[Sampler | None]:
    if not settings.tracing:
        yield None
        return
    from springfield.observability.traces import open_traces  # noqa: PLC0415 - an extra

    async with open_traces(events, __version__) as sampler:
        yield sampler


@asynccontextmanager
async def _open_weather(
    settings: Settings, events: Events, policy: Policy
) -> AsyncIterator[Cached[Condition]]:
    uri = settings.weather_uri or open_meteo_uri(
        settings.weather_latitude, settings.weather_longitude, settings.weather_units
    )
    timeout, lifetime, stale = (
        settings.weather_timeout,
        settings.weather_lifetime,
        settings.weather_stale,
    )
    async with (
        open_weather(uri, timeout, settings.weather_client, events) as weather,
        open_cached(partial(policy.run, CURRENT, 1, weather.current), lifetime, stale) as cached,
    ):
        yield cached


def limits_for(settings: Settings, dependency: str) -> Limits:
    """Return the numbers of a dependency's policy."""
    if dependency == WEATHER:
        return settings.limits_of(WEATHER, settings.weather_timeout, CONNECTIONS)
    return settings.limits_of(dependency)


def _upstream(settings: Settings, events: Events) -> Dependency:
    policy = Policy(
        WEATHER,
        "The weather service",
        limits_for(settings, WEATHER),
        events=events,
        observe=lambda *_: None,  # Weather publishes each attempt by itself, with its trace
        rejection=unanswered,
        repeatable=(UpstreamFailed,),
    )
    return Dependency(WEATHER, "HTTP", policy)


def _dependency(opened: OpenStore, settings: Settings, events: Events) -> Dependency:
    name, product = opened.binding.resource, opened.product
    limits = limits_for(settings, name)
    observe = observer(events, name, product)
    policy = Policy(name, f"{product} ({name})", limits, events=events, observe=observe)
    return Dependency(name, product, policy)


def _serve(opened: OpenStore, settings: Settings, events: Events) -> Served:
    dependency = _dependency(opened, settings, events)
    items = None
    if isinstance(opened.binding.kind, Kind):
        guarded = Guarded(cast("Adapter", opened.store), dependency.policy)
        items = Coalesced(guarded, dependency.policy.label)
    return Served(opened, dependency, items)


def _service(
    settings: Settings,
    served: Sequence[Served],
    upstream: Dependency,
    weather: Cached[Condition],
    telemetry: Telemetry,
) -> Service:
    collections, singles, object_collections = [], [], []
    for each in served:
        binding, store, policy = each.opened.binding, each.opened.store, each.dependency.policy
        name = binding.resource
        match binding.kind:
            case Kind() as kind:
                items = cast("Coalesced", each.items)
                tick, limit = settings.wait_tick, settings.item_limit
                collections.append(Collection(name, kind, items, limit, tick))
            case Shape.OBJECT:
                single = GuardedObject(cast("ObjectStore", store), policy)
                singles.append(SingleObject(name, single, settings.object_limit))
            case Shape.OBJECTS:
                objects = GuardedObjects(cast("Objects", store), policy)
                object_collections.append(ObjectCollection(name, objects, settings.object_limit))
    opened = [each.opened for each in served]
    dependencies = [*(each.dependency for each in served), upstream]
    traffic = Traffic()
    _watch(telemetry.metrics, opened, dependencies, traffic)
    health, critical = _health(settings, opened)
    bounded = [each.store for each in opened if hasattr(each.store, "item_limit")]
    return Service(
        collections=collections,
        singles=singles,
        object_collections=object_collections,
        weather=weather,
        weather_place=settings.weather_place,
        health=health,
        safety=Safety(is_loopback_name(settings.host), settings.read_only),
        traffic=traffic,
        events=telemetry.events,
        wait_limit=settings.wait_limit,
        request_timeout_limit=settings.request_timeout_limit,
        dependencies=dependencies,
        needs_precondition=settings.require_precondition,
        critical=critical,
        tunables={
            "item_limit": _setter("item_limit", [*collections, *bounded]),
            "object_limit": _setter("object_limit", [*singles, *object_collections]),
            "health_timeout": _setter("timeout", [health, critical]),
            "weather_lifetime": _setter("lifetime", [weather]),
            "weather_stale": _setter("stale", [weather]),
        },
    )


def _health(settings: Settings, opened: Sequence[OpenStore]) -> tuple[Health, Health]:
    """Return what asks every store, and what asks those that readiness depends on."""
    components = [Component(o.binding.resource, o.product, o.store.ping) for o in opened]
    critical = [each for each in components if each.name in settings.critical]
    return Health(components, settings.health_timeout), Health(critical, settings.health_timeout)


def _watch(
    metrics: Metrics,
    opened: Sequence[OpenStore],
    dependencies: Sequence[Dependency],
    traffic: Traffic,
) -> None:
    gauges = metrics.gauges
    for name, text, read in (
        ("requests_in_flight", "Requests whose answer is not yet sent.", lambda: traffic.in_flight),
        ("waiters", "Requests that wait for a change.", lambda: traffic.waiting),
        ("draining", "1 while the service stops.", lambda: traffic.is_draining),
    ):
        gauges.add(f"springfield_{name}", text, read)
    for each in opened:
        if hasattr(each.store, "pool"):
            status = cast("Pooled", each.store).pool
            metrics.watch_pool(each.binding.resource, each.product, status)
    for dependency in dependencies:
        breaker, bulkhead = dependency.policy.breaker, dependency.policy.bulkhead
        metrics.watch_dependency(
            dependency.name,
            partial(_state, breaker),
            partial(getattr, bulkhead, "in_use"),
            partial(getattr, bulkhead, "queued"),
        )


def _state(breaker: Breaker) -> str:
    return str(breaker.state)


def _setter(attribute: str, parts: Sequence[object]) -> Callable[[Any], None]:
    """Return what gives all `parts` a new value of `attribute`, which each reads when it needs it."""

    def set_all(value: Any) -> None:
        for part in parts:
            setattr(part, attribute, value)

    return set_all

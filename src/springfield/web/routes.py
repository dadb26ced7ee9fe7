"""In charge of which URL leads where. Every URL on one screen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from springfield.health import Health
from springfield.model import Kind
from springfield.object_resources import ObjectCollection, SingleObject
from springfield.observability.events import Events
from springfield.observability.trace_context import Sampler
from springfield.resilience.policy import Dependency
from springfield.resources import Collection
from springfield.upstream.cached import Cached
from springfield.upstream.weather import Condition
from springfield.web.application import Route, RoutedApplication, Shared
from springfield.web.handlers.base import Handler, NotFoundHandler, ServerHandler
from springfield.web.handlers.flanders import FlandersHandler
from springfield.web.handlers.healthcheck import HealthcheckHandler
from springfield.web.handlers.maggie import MaggieHandler
from springfield.web.handlers.object import ObjectHandler
from springfield.web.handlers.problem import ProblemHandler
from springfield.web.handlers.resource import ItemHandler, JSONItemHandler, NamesHandler
from springfield.web.safety import Safety
from springfield.web.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes lead to: made by `assembly`, used by the handlers."""

    collections: Sequence[Collection]
    singles: Sequence[SingleObject]
    object_collections: Sequence[ObjectCollection]
    weather: Cached[Condition]
    weather_place: str
    health: Health
    safety: Safety
    traffic: Traffic
    events: Events
    wait_limit: int
    """Seconds that a GET may wait for a change."""
    needs_precondition: frozenset[str] = frozenset()
    """The resources that take conditional writes alone."""
    sampler: Sampler | None = None
    """Decides which requests are traced, when traces are on."""
    critical: Health = field(default_factory=lambda: Health([], 1.0))
    """The stores without which the service is not ready."""
    tunables: Mapping[str, Callable[[Any], None]] = field(default_factory=dict)
    """By the setting's name: who takes its new value while requests are served, on the event loop."""
    request_timeout_limit: float = 300.0
    """Seconds: the longest deadline that a client can set."""
    dependencies: Sequence[Dependency] = ()

    def drain(self) -> None:
        """Want no more requests: readiness fails, answers say `Connection: close`, no wait goes on.

        Requests that come all the same are served.
        """
        self.traffic.is_draining = True
        self.release_waiters()

    def release_waiters(self) -> None:
        """Answer everybody who waits for a change that nothing has changed."""
        for collection in self.collections:
            collection.watch.release()


def make_app(service: Service) -> RoutedApplication:
    """Return the application with all its routes."""
    needing = service.needs_precondition
    weather = {"weather": service.weather, "place": service.weather_place}
    routes = [
        Route("/api/v1/flanders", FlandersHandler),
        Route("/api/v1/healthcheck", HealthcheckHandler, {"health": service.health}),
        Route("/api/v1/maggie", MaggieHandler, weather),
        Route("/problems/{code}", ProblemHandler),
        Route("*", ServerHandler),
    ]
    for single in service.singles:  # bart
        arguments = {"objects": single, "needs_precondition": single.resource in needing}
        routes += [Route(f"/api/v1/{single.resource}", ObjectHandler, arguments)]
    for objects in service.object_collections:
        arguments = {"objects": objects, "needs_precondition": objects.resource in needing}
        routes += _named(objects, ObjectHandler, arguments)
    for items in service.collections:  # homers, lisas, marges
        arguments = {"collection": items, "needs_precondition": items.resource in needing}
        handler = JSONItemHandler if items.kind is Kind.JSON else ItemHandler
        routes += _named(items, handler, arguments)
    shared = Shared(
        service.safety,
        service.traffic,
        service.events,
        service.sampler,
        service.wait_limit,
        service.request_timeout_limit,
    )
    return RoutedApplication(routes, Route("(none)", NotFoundHandler), shared)


def _named(
    collection: Collection | ObjectCollection, handler: type[Handler], arguments: dict[str, object]
) -> list[Route]:
    path, names = f"/api/v1/{collection.resource}", {"collection": collection}
    return [
        Route(path, NamesHandler, names),
        Route(f"{path}/", NamesHandler, names, told_as=path),
        Route(f"{path}/{{name}}", handler, arguments),
    ]

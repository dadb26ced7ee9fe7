"""In charge of which URL leads where. Every URL on one screen."""

from collections.abc import Sequence
from dataclasses import dataclass

from tornado.web import Application, url

from springfield.health import Health
from springfield.model import Kind
from springfield.object_resources import ObjectCollection, SingleObject
from springfield.resources import Collection
from springfield.upstream.weather import Weather
from springfield.web.access import log_request
from springfield.web.handlers.base import NotFoundHandler
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
    weather: Weather
    health: Health
    safety: Safety
    traffic: Traffic
    wait_limit: int
    """Seconds that a GET may wait for a change."""
    needs_precondition: frozenset[str] = frozenset()
    """The resources that take conditional writes alone."""

    def release_waiters(self) -> None:
        """Answer everybody who waits for a change: the service stops."""
        for collection in self.collections:
            collection.watch.release()


def make_app(service: Service) -> Application:
    """Return the application with all its routes."""
    needing = service.needs_precondition
    arguments: dict[str, object]
    routes = [
        url(r"/api/v1/flanders", FlandersHandler),
        url(r"/api/v1/healthcheck", HealthcheckHandler, {"health": service.health}),
        url(r"/api/v1/maggie", MaggieHandler, {"weather": service.weather}),
        url(r"/problems/([a-z-]+)", ProblemHandler),
    ]
    for single in service.singles:  # bart
        arguments = {"objects": single, "needs_precondition": single.resource in needing}
        routes += [url(rf"/api/v1/{single.resource}", ObjectHandler, arguments)]
    for objects in service.object_collections:
        arguments = {"objects": objects, "needs_precondition": objects.resource in needing}
        routes += [
            url(rf"/api/v1/{objects.resource}/?", NamesHandler, {"collection": objects}),
            url(rf"/api/v1/{objects.resource}/(.+)", ObjectHandler, arguments),
        ]
    for items in service.collections:  # homers, lisas, marges
        handler = JSONItemHandler if items.kind is Kind.JSON else ItemHandler
        arguments = {"collection": items, "needs_precondition": items.resource in needing}
        routes += [
            url(rf"/api/v1/{items.resource}/?", NamesHandler, {"collection": items}),
            url(rf"/api/v1/{items.resource}/(.+)", handler, arguments),
        ]
    return Application(
        routes,
        default_handler_class=NotFoundHandler,
        log_function=log_request,
        safety=service.safety,
        traffic=service.traffic,
        wait_limit=service.wait_limit,
    )

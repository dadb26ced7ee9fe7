"""In charge of which URL leads where. Every URL on one screen."""

from collections.abc import Sequence
from dataclasses import dataclass

from tornado.web import Application, url

from springfield.health import Health
from springfield.resources import Collection, StoredObject
from springfield.upstream.weather import Weather
from springfield.web.access import log_request
from springfield.web.handlers.base import NotFoundHandler
from springfield.web.handlers.flanders import FlandersHandler
from springfield.web.handlers.healthcheck import HealthcheckHandler
from springfield.web.handlers.maggie import MaggieHandler
from springfield.web.handlers.object import ObjectHandler
from springfield.web.handlers.problem import ProblemHandler
from springfield.web.handlers.resource import ItemHandler, NamesHandler
from springfield.web.safety import Safety
from springfield.web.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes lead to: made by `assembly`, used by the handlers."""

    collections: Sequence[Collection]
    objects: Sequence[StoredObject]
    weather: Weather
    health: Health
    safety: Safety
    traffic: Traffic


def make_app(service: Service) -> Application:
    """Return the application with all its routes."""
    routes = [
        url(r"/api/v1/flanders", FlandersHandler),
        url(r"/api/v1/healthcheck", HealthcheckHandler, {"health": service.health}),
        url(r"/api/v1/maggie", MaggieHandler, {"weather": service.weather}),
        url(r"/problems/([a-z-]+)", ProblemHandler),
    ]
    for stored in service.objects:  # bart
        routes += [url(rf"/api/v1/{stored.resource}", ObjectHandler, {"stored": stored})]
    for collection in service.collections:  # homers, lisas, marges
        arguments = {"collection": collection}
        routes += [
            url(rf"/api/v1/{collection.resource}/?", NamesHandler, arguments),
            url(rf"/api/v1/{collection.resource}/(.+)", ItemHandler, arguments),
        ]
    return Application(
        routes,
        default_handler_class=NotFoundHandler,
        log_function=log_request,
        safety=service.safety,
        traffic=service.traffic,
    )

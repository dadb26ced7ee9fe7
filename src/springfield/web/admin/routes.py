"""In charge of which admin URL leads where. Every URL on one screen."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tornado.routing import URLSpec
from tornado.web import Application

from springfield.observability.events import Events
from springfield.web.access import report
from springfield.web.admin.probes import Liveness, LivezHandler, Readiness, ReadyzHandler
from springfield.web.admin.reports import MetricsHandler, ReportHandler
from springfield.web.admin.switches import (
    DrainHandler,
    LogLevel,
    LogLevelHandler,
    Reloaded,
    ReloadHandler,
)
from springfield.web.handlers.base import NotFoundHandler
from springfield.web.handlers.problem import ProblemHandler
from springfield.web.safety import Safety
from springfield.web.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Admin:
    """What the routes lead to. Every call may be made on the listener's own thread.

    A call that needs the event loop that serves requests is awaited, and raises HTTPRefusal
    (`not-live`) when that does not turn in time; nothing was done then.
    """

    safety: Safety
    liveness: Callable[[], Liveness]
    readiness: Callable[[], Awaitable[Readiness]]
    metrics: Callable[[], bytes]
    info: Callable[[], Awaitable[object]]
    breakers: Callable[[], Awaitable[object]]
    tasks: Callable[[], Awaitable[object]]
    log_level: LogLevel
    is_draining: Callable[[], bool]
    drain: Callable[[bool], Awaitable[None]]
    reload: Callable[[], Awaitable[Reloaded]]


def make_admin_app(admin: Admin) -> Application:
    """Return the application with all its routes."""
    return admin_application(
        [
            _route("/livez", LivezHandler, liveness=admin.liveness),
            _route("/readyz", ReadyzHandler, readiness=admin.readiness),
            _route("/metrics", MetricsHandler, render=admin.metrics),
            _route("/info", ReportHandler, report=admin.info),
            _route("/breakers", ReportHandler, report=admin.breakers),
            _route("/tasks", ReportHandler, report=admin.tasks),
            _route("/log-level", LogLevelHandler, log_level=admin.log_level),
            _route("/drain", DrainHandler, is_draining=admin.is_draining, drain=admin.drain),
            _route("/reload", ReloadHandler, reload=admin.reload),
        ],
        admin.safety,
    )


def admin_application(routes: list[URLSpec], safety: Safety) -> Application:
    """Return an application whose requests are told to nobody: probes are no news."""
    return Application(
        [*routes, URLSpec("/problems/([a-z-]+)", ProblemHandler, {"route": "/problems/{code}"})],
        default_handler_class=NotFoundHandler,
        default_handler_args={"route": "(none)"},
        log_function=report,
        safety=safety,
        traffic=Traffic(),
        events=Events(),
        sampler=None,
    )


def _route(path: str, handler: type, **arguments: object) -> URLSpec:
    return URLSpec(path, handler, {"route": path, **arguments})

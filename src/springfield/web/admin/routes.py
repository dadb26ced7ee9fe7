"""In charge of which admin URL leads where. Every URL on one screen."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from springfield.observability.events import Events
from springfield.web.admin.probes import Liveness, LivezHandler, Readiness, ReadyzHandler
from springfield.web.admin.reports import MetricsHandler, ReportHandler
from springfield.web.admin.switches import (
    DrainHandler,
    LogLevel,
    LogLevelHandler,
    Reloaded,
    ReloadHandler,
)
from springfield.web.application import Route, RoutedApplication, Shared
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


def make_admin_app(admin: Admin) -> RoutedApplication:
    """Return the application with all its routes."""
    return admin_application(
        [
            Route("/livez", LivezHandler, {"liveness": admin.liveness}),
            Route("/readyz", ReadyzHandler, {"readiness": admin.readiness}),
            Route("/metrics", MetricsHandler, {"render": admin.metrics}),
            Route("/info", ReportHandler, {"report": admin.info}),
            Route("/breakers", ReportHandler, {"report": admin.breakers}),
            Route("/tasks", ReportHandler, {"report": admin.tasks}),
            Route("/log-level", LogLevelHandler, {"log_level": admin.log_level}),
            Route("/drain", DrainHandler, {"is_draining": admin.is_draining, "drain": admin.drain}),
            Route("/reload", ReloadHandler, {"reload": admin.reload}),
        ],
        admin.safety,
    )


def admin_application(routes: list[Route], safety: Safety) -> RoutedApplication:
    """Return an application whose requests are told to nobody: probes are no news."""
    return RoutedApplication(
        [*routes, Route("/problems/{code}", ProblemHandler)],
        Route("(none)", NotFoundHandler),
        Shared(safety, Traffic(), Events()),
    )

"""In charge of the life of one process that serves, alone or as a worker: assemble, serve, drain, stop.

What is entered in one `AsyncExitStack` is left in the opposite order.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from springfield.assembly import assemble, limits_for
from springfield.observability.logs import logging_lines
from springfield.observability.metrics import Metrics
from springfield.observability.telemetry import Telemetry, observing
from springfield.server.admin import admin_safety, administering
from springfield.server.collector import collecting_seldom
from springfield.server.engines import Engine, make_engine
from springfield.server.hangup import on_hangup
from springfield.server.limits import Limits
from springfield.server.loop import new_event_loop
from springfield.server.news import Say, tell_nobody
from springfield.server.operations import Operations
from springfield.server.proxy import TrustedProxies
from springfield.server.reload import Loaded, Reloading
from springfield.server.sockets import Sockets
from springfield.server.stopping import Stop, drain
from springfield.server.systemd import notify_ready, notify_reloading, notify_stopping
from springfield.server.tls import Certificate
from springfield.settings.table import Settings
from springfield.web.admin.routes import make_admin_app
from springfield.web.admission import Admission
from springfield.web.application import RoutedApplication
from springfield.web.routes import Service, make_app

log = logging.getLogger("springfield.server")

SERVING = "Serving."

POLICIES = (
    "call_timeout",
    "attempts",
    "retry_budget",
    "breaker_failures",
    "breaker_cooldown",
    "queue_limit",
    "queue_timeout",
    "policies",
)
"""The settings that policies are made of."""


class CannotStart(Exception):
    """The process cannot start; the sentence says what to change."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a process is to serve."""

    loaded: Loaded
    """The settings, as they were read."""
    load: Callable[[], Loaded]
    """Reads them anew, for a reload; see Reloading."""
    sockets: Sockets
    certificate: Certificate | None = None
    is_worker: bool = False
    say: Say = tell_nobody
    """Tells the supervisor what whoever comes after this process has to know."""
    is_draining: bool = False
    """Whether the drain switch is on."""
    log_level: str | None = None
    """What is logged, if it is not what the settings say."""

    @property
    def settings(self) -> Settings:
        """The settings. What systemd handed over may be open to others than `host` says."""
        return self.loaded.settings.model_copy(update={"host": self.sockets.host})


def run_serving(plan: Plan, started: Callable[[], None]) -> None:
    """Run `serve` on an event loop of its own, and write its log in a thread of its own."""
    settings = plan.settings
    with (
        logging_lines(settings.log_format, plan.log_level or settings.log_level),
        asyncio.Runner(loop_factory=new_event_loop) as runner,
    ):
        runner.run(serve(plan, started))


async def serve(plan: Plan, started: Callable[[], None]) -> None:
    """Serve until a signal; `started` is called once requests are answered.

    Raises CannotStart and the errors of `assemble`.
    """
    settings, sockets = plan.settings, plan.sockets
    stop = Stop(is_worker=plan.is_worker)
    reloading = Reloading(plan.loaded, plan.load, plan.certificate, plan.say)
    on_hangup(partial(_reload, reloading), stop.take)
    if not plan.is_worker:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, _refuse_to_be_replaced)
    try:
        async with AsyncExitStack() as stack:
            telemetry = stack.enter_context(observing(settings.slow_request, settings.blocked_loop))
            operations = Operations(reloading, telemetry, stop.is_wanted.is_set, plan.say)
            admin = make_admin_app(operations.admin(admin_safety(sockets.admin)))
            await stack.enter_async_context(administering(sockets.admin, admin))
            service = await stack.enter_async_context(assemble(settings, telemetry))
            service.traffic.is_draining = plan.is_draining
            engine = _engine(plan, service, reloading, telemetry)
            watch_connections(telemetry.metrics, engine)
            await stack.enter_async_context(_serving(engine, plan, service, stop))
            operations.service = service
            stack.enter_context(collecting_seldom())
            stop.has_started = True
            started()
            await stop.is_wanted.wait()
            notify_stopping("Finishing what is in flight.")
    except asyncio.CancelledError:
        if not stop.is_wanted.is_set():
            raise


@asynccontextmanager
async def _serving(engine: Engine, plan: Plan, service: Service, stop: Stop) -> AsyncIterator[None]:
    settings = plan.settings
    await engine.start(plan.sockets.public)
    try:
        yield
    finally:
        await drain(
            engine, service, stop, delay=settings.drain_delay, timeout=settings.shutdown_timeout
        )


def _engine(plan: Plan, service: Service, reloading: Reloading, telemetry: Telemetry) -> Engine:
    settings, certificate = plan.settings, reloading.certificate
    try:
        trusted = TrustedProxies.parse(settings.trusted_proxies)
    except ValueError as error:
        raise CannotStart(str(error)) from error
    app = make_app(service)
    admission = Admission(app, service.traffic, service.events, settings.max_requests)
    reloading.tell(tunables(service, app, admission, telemetry))
    reloading.tell(dict.fromkeys(POLICIES, partial(_adjust, service, reloading)))
    reloading.open()
    limits = Limits(accepted_at_once=1) if plan.is_worker else Limits()
    tls = None if certificate is None else certificate.context
    return make_engine(
        settings.engine, admission, limits, tls, trusted, tell=service.events.publish
    )


def tunables(
    service: Service, app: RoutedApplication, admission: Admission, telemetry: Telemetry
) -> Mapping[str, Callable[[Any], None]]:
    """Return who takes new values of settings, by the setting's name."""
    return {
        **service.tunables,
        "wait_limit": partial(setattr, app.shared, "wait_limit"),
        "request_timeout_limit": partial(setattr, app.shared, "request_timeout_limit"),
        "max_requests": partial(setattr, admission, "limit"),
        "slow_request": partial(setattr, telemetry.thresholds, "slow_request"),
    }


def _adjust(service: Service, reloading: Reloading, _: object) -> None:
    """Give every policy the numbers that hold now; a store keeps its timeout and its pool."""
    for dependency in service.dependencies:
        policy = dependency.policy
        limits = limits_for(reloading.settings, dependency.name)
        policy.adjust(
            replace(
                limits,
                attempt_timeout=policy.limits.attempt_timeout,
                concurrency=policy.limits.concurrency,
            )
        )


def watch_connections(metrics: Metrics, engine: Engine) -> None:
    """Have the connections of clients counted."""
    text = "Open connections of clients."
    metrics.gauges.add("springfield_connections", text, lambda: engine.connections)


def _refuse_to_be_replaced() -> None:
    log.warning(
        "SIGUSR2 is ignored: there is one process, and nobody to replace it; restart the service, or "
        "run it with --workers 2"
    )


async def _reload(reloading: Reloading) -> None:
    notify_reloading()
    try:
        await reloading.reload()
    finally:
        notify_ready(SERVING)

"""In charge of what the admin listener may know of the serving event loop, and do to it.

Its methods are called on the admin listener's thread. What they read are single values; whatever
changes anything, or asks a store, runs on the serving loop, under a deadline.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import TypeVar, cast

from springfield.observability.logs import set_level
from springfield.observability.stacks import stack_of_thread, tasks_of, threads
from springfield.observability.telemetry import Telemetry
from springfield.server.facts import facts_of, timestamp
from springfield.server.news import DRAINING, LOG_LEVEL, Say, tell_nobody
from springfield.server.reload import Reloading
from springfield.web.admin.probes import Liveness, Readiness
from springfield.web.admin.routes import Admin
from springfield.web.admin.switches import Reloaded
from springfield.web.problems import HTTPRefusal
from springfield.web.routes import Service
from springfield.web.safety import Safety

PATIENCE = 1.0
"""Seconds that the serving loop has to begin what it is asked, beside what the work itself may take."""

RELOAD_TIMEOUT = 10.0

T = TypeVar("T")


class RootLogLevel:
    """The least severity that is logged; satisfies `LogLevel`."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def get(self) -> str:
        """See LogLevel."""
        return logging.getLevelName(logging.getLogger().level).lower()

    def set(self, level: str) -> None:
        """See LogLevel."""
        set_level(level)
        self._say(f"{LOG_LEVEL} {level}")


class Operations:
    """One serving process. Made on the serving loop."""

    def __init__(
        self,
        reloading: Reloading,
        telemetry: Telemetry,
        is_stopping: Callable[[], bool],
        say: Say = tell_nobody,
    ) -> None:
        self.service: Service | None = None
        """Set once requests are served."""
        self._metrics = telemetry.metrics
        self.log_level = RootLogLevel(say)
        self._reloading = reloading
        self._heartbeat = telemetry.heartbeat
        self._is_stopping = is_stopping
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._started = time.time()
        reloading.tell({"log_level": self.log_level.set, "liveness_timeout": lambda _: None})

    def admin(self, safety: Safety) -> Admin:
        """Return what the admin routes lead to."""
        return Admin(
            safety=safety,
            liveness=self.liveness,
            readiness=self.readiness,
            metrics=self.render,
            info=self.info,
            breakers=self.dependencies,
            tasks=self.tasks,
            log_level=self.log_level,
            is_draining=self.is_draining,
            drain=self.drain,
            reload=self.reload,
        )

    def liveness(self) -> Liveness:
        """Tell whether the serving loop turns."""
        age = self._heartbeat.age()
        is_live = age < self._reloading.settings.liveness_timeout
        stack = [] if is_live else stack_of_thread(self._heartbeat.thread)
        return Liveness(is_live, age, timestamp(time.time() - age), stack)

    async def readiness(self) -> Readiness:
        """Tell whether requests should be sent here; asks the critical stores if all else is well."""
        if reason := self._local_reason():
            return Readiness([reason])
        assert self.service is not None
        critical = self.service.critical
        if critical.is_empty:
            return Readiness([])
        try:
            statuses = await self._on_loop(critical.check, critical.timeout)
        except HTTPRefusal as error:
            return Readiness([str(error)])
        reasons = [
            f"{each.name} ({each.product}) failed: {each.failure}"
            for each in statuses
            if each.failure is not None
        ]
        return Readiness(reasons, [each.as_dict() for each in statuses])

    def _local_reason(self) -> str | None:
        if self._is_stopping():
            return "The service is stopping."
        if self.service is None:
            return "The service is starting."
        if self.is_draining():
            return "The service is draining."
        if not (found := self.liveness()).is_live:
            return f"The event loop has not turned for {found.seconds:.1f} s."
        return None

    def is_draining(self) -> bool:
        """Tell whether answers say `Connection: close`."""
        return self.service is not None and self.service.traffic.is_draining

    async def drain(self, on: bool) -> None:
        """Throw the drain switch; raises HTTPRefusal while it starts, and to undo a stop."""

        async def throw() -> None:
            if self.service is None:
                raise HTTPRefusal("not-ready", "The service is starting; nothing was switched.")
            if self._is_stopping() and not on:
                raise HTTPRefusal("stopping", "The service is being stopped and goes on draining.")
            self.service.traffic.is_draining = on
            self._say(f"{DRAINING} {'on' if on else 'off'}")

        await self._on_loop(throw)
        logging.getLogger("springfield.server").warning(
            "the drain switch was turned %s", "on" if on else "off"
        )

    async def reload(self) -> Reloaded:
        """Read the settings anew; see Reloading. Raises HTTPRefusal while it starts."""
        if self.service is None:
            raise HTTPRefusal("not-ready", "The service is starting; nothing was reloaded.")
        return await self._on_loop(self._reloading.reload, RELOAD_TIMEOUT)

    def render(self) -> bytes:
        """Return all metrics."""
        return self._metrics.render()

    async def dependencies(self) -> object:
        """Return the state of every breaker."""
        dependencies = self.service.dependencies if self.service else ()
        return {"breakers": [each.as_dict() for each in dependencies]}

    async def tasks(self) -> object:
        """Return what runs: the serving loop's tasks, and all threads. Needs no turn of the loop."""
        return {"tasks": tasks_of(self._loop), "threads": threads()}

    async def info(self) -> object:
        """Return what this process is and how it is set."""
        return {
            "started": timestamp(self._started),
            "uptime": round(time.time() - self._started, 1),
            "event_loop": type(self._loop).__module__,
            "requests_in_flight": self.service.traffic.in_flight if self.service else 0,
            **facts_of(self._reloading.loaded),
        }

    async def _on_loop(
        self, work: Callable[[], Coroutine[None, None, T]], seconds: float = 0.0
    ) -> T:
        """Run `work`, which takes up to `seconds`, on the serving loop; raises HTTPRefusal.

        What was not begun in time is never begun.
        """
        is_wanted = True

        async def begin() -> T:
            return await work() if is_wanted else cast("T", None)

        future = asyncio.run_coroutine_threadsafe(begin(), self._loop)
        try:
            async with asyncio.timeout(seconds + PATIENCE):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            is_wanted = False
            raise HTTPRefusal(
                "not-live",
                f"The event loop did not do it within {seconds + PATIENCE:g} s; it was given up.",
            ) from None

"""In charge of what is changed while the service runs: log level, draining, settings."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from springfield.errors import InvalidContent
from springfield.web.admin.base import AdminHandler

LEVELS = ("debug", "info", "warning", "error")


class LogLevel(Protocol):
    """The least severity that is logged: one of `LEVELS`."""

    def get(self) -> str:
        """Return it."""
        ...

    def set(self, level: str) -> None:
        """Change it."""
        ...


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What reading the settings anew has led to. Names of settings, never values."""

    changed: Sequence[str] = field(default=())
    needs_restart: Sequence[str] = field(default=())
    """Settings that differ from those in force, which only a restart can change."""
    mistakes: Sequence[str] = field(default=())
    """A sentence each; if there is one, nothing was changed."""


class LogLevelHandler(AdminHandler):
    """`/log-level`."""

    METHODS = ("GET", "HEAD", "PUT", "OPTIONS")

    def initialize(self, route: str, log_level: LogLevel) -> None:
        """Take the level."""
        super().initialize(route)
        self.log_level = log_level

    def get(self) -> None:
        """Answer with the level."""
        self.answer({"log_level": self.log_level.get()})

    head = get

    def put(self) -> None:
        """Change the level to the word in the body, until it is changed again or the process ends."""
        level = self._body.decode("ascii", "replace").strip().lower()
        if level not in LEVELS:
            raise InvalidContent(f"{level!a} is no log level; send {', '.join(LEVELS)}.")
        self.log_level.set(level)
        self.get()


class DrainHandler(AdminHandler):
    """`/drain`: take the process out of service, and back."""

    METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")

    def initialize(
        self,
        route: str,
        is_draining: Callable[[], bool],
        drain: Callable[[bool], Awaitable[None]],
    ) -> None:
        """Take the switch."""
        super().initialize(route)
        self.is_draining = is_draining
        self.drain = drain

    def get(self) -> None:
        """Answer whether it drains."""
        self.answer({"draining": self.is_draining()})

    head = get

    async def post(self) -> None:
        """POST: fail readiness and answer `Connection: close` from now on; requests are still served.

        DELETE undoes it; 409 when the service is being stopped.
        """
        await self.drain(self.request.method == "POST")
        self.get()

    delete = post


class ReloadHandler(AdminHandler):
    """`/reload`: read the settings anew."""

    METHODS = ("POST", "OPTIONS")

    def initialize(self, route: str, reload: Callable[[], Awaitable[Reloaded]]) -> None:
        """Take what reloads."""
        super().initialize(route)
        self.reload = reload

    async def post(self) -> None:
        """Bring new values into force, and say which; 422 with all mistakes changes nothing."""
        found = await self.reload()
        if found.mistakes:
            detail = " ".join(["The old settings are kept, all of them.", *found.mistakes])
            self.refuse("invalid-settings", 422, detail, mistakes=found.mistakes)
        else:
            self.answer({"changed": found.changed, "needs_restart": found.needs_restart})

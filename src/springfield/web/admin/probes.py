"""In charge of the two probes: whether the process lives, and whether it is ready for requests."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from springfield.web.admin.base import AdminHandler


@dataclass(frozen=True, slots=True)
class Liveness:
    """How the event loop is that serves requests."""

    is_live: bool
    seconds: float
    """Since it turned last."""
    since: str
    """When it turned last (RFC 3339)."""
    stack: Sequence[str]
    """Where its thread is, if it does not live; outermost frame first."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests should be sent here, and why not."""

    reasons: Sequence[str]
    """A sentence each; none when it is ready."""
    stores: Sequence[object] = field(default=())
    """What the critical stores answered."""


class LivezHandler(AdminHandler):
    """`/livez`: whether the event loop turns. Never asks a store."""

    def initialize(self, route: str, liveness: Callable[[], Liveness]) -> None:
        """Take what knows."""
        super().initialize(route)
        self.liveness = liveness

    def get(self) -> None:
        """Answer 200, or 503 with since when and where the loop is."""
        found = self.liveness()
        if found.is_live:
            self.answer({"status": "live", "seconds_since_turn": round(found.seconds, 3)})
            return
        self.refuse(
            "not-live",
            503,
            f"The event loop has not turned for {found.seconds:.1f} s.",
            seconds_since_turn=round(found.seconds, 3),
            since=found.since,
            stack=found.stack,
        )

    head = get


class ReadyzHandler(AdminHandler):
    """`/readyz`: whether requests should be sent here. Asks the critical stores alone."""

    def initialize(self, route: str, readiness: Callable[[], Awaitable[Readiness]]) -> None:
        """Take what knows."""
        super().initialize(route)
        self.readiness = readiness

    async def get(self) -> None:
        """Answer 200, or 503 with the reasons."""
        found = await self.readiness()
        if found.reasons:
            detail = " ".join(found.reasons)
            self.refuse("not-ready", 503, detail, reasons=found.reasons, stores=found.stores)
        else:
            self.answer({"status": "ready", "stores": found.stores})

    head = get

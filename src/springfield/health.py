"""In charge of asking every configured store at the same time whether it can serve."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

from springfield.errors import SpringfieldError
from springfield.resilience.deadline import remaining

_OF_WRITES = "; nothing was written"


@dataclass(frozen=True, slots=True)
class Component:
    """A resource whose store is asked. `ping` returns when it can serve, and raises otherwise."""

    name: str
    product: str
    ping: Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class Status:
    """What a component answered; `failure` is None when it is well."""

    name: str
    product: str
    milliseconds: float
    failure: str | None

    def as_dict(self) -> dict[str, object]:
        """Return the status for JSON."""
        return {
            "name": self.name,
            "product": self.product,
            "status": "ok" if self.failure is None else "failed",
            "milliseconds": self.milliseconds,
            **({} if self.failure is None else {"detail": self.failure}),
        }


class Health:
    """The components, and the seconds that each may take."""

    def __init__(self, components: Sequence[Component], timeout: float) -> None:
        self.timeout = timeout
        """May be changed at any time; what is being asked keeps the old one."""
        self._components = components
        self._asking: dict[str, asyncio.Task[None]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to ask."""
        return not self._components

    async def check(self) -> Sequence[Status]:
        """Ask all components; ends within the timeout even if a store never answers.

        A store that is still being asked is not asked again: its answer then counts for both.
        """
        left = remaining()
        seconds = self.timeout if left is None else min(self.timeout, left)
        return await asyncio.gather(*(self._ask(each, seconds) for each in self._components))

    async def _ask(self, component: Component, seconds: float) -> Status:
        started = time.monotonic()
        task = self._asking.get(component.name)
        if task is None:
            task = self._asking[component.name] = asyncio.create_task(component.ping())
            task.add_done_callback(lambda done: self._answered(component.name, done))
        # Not a timeout around the ping: an adapter may end a cancelled call late.
        await asyncio.wait({task}, timeout=seconds)
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        return Status(component.name, component.product, milliseconds, self._failure(task, seconds))

    def _answered(self, name: str, task: "asyncio.Task[None]") -> None:
        del self._asking[name]
        if not task.cancelled():
            task.exception()  # else asyncio logs that nobody looked, when all had given up

    def _failure(self, task: "asyncio.Task[None]", seconds: float) -> str | None:
        if not task.done():
            return f"It did not answer within {seconds:.3g} s."
        if isinstance(error := task.exception(), SpringfieldError):
            # True, but nobody was writing: adapters speak of writes, and a ping is none.
            return str(error).replace(_OF_WRITES, "")
        task.result()  # raises a defect
        return None

"""In charge of asking every configured store at the same time whether it can serve."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from springfield.errors import SpringfieldError


@dataclass(frozen=True, slots=True)
class Component:
    """A resource whose store is asked. `ping` returns when it can serve, and raises otherwise."""

    name: str
    product: str
    ping: Callable[[], Awaitable[None]]


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
        self._components = components
        self._timeout = timeout

    async def check(self) -> Sequence[Status]:
        """Ask all components; ends within the timeout even if a store never answers."""
        return await asyncio.gather(*(self._ask(each) for each in self._components))

    async def _ask(self, component: Component) -> Status:
        started = time.monotonic()
        failure = None
        try:
            async with asyncio.timeout(self._timeout):
                await component.ping()
        except TimeoutError:
            failure = f"It did not answer within {self._timeout:g} s."
        except SpringfieldError as error:
            failure = str(error)
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        return Status(component.name, component.product, milliseconds, failure)

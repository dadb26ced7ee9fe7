"""In charge of answers that only wait for one result: they cost a callback, not a task."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any


class Later(Awaitable[None]):
    """What a handler's method may return: `go_on` is called with the result of `future`.

    It may return what else is to be awaited. Awaited like any other Awaitable it does the same;
    `execution.py` does it without a task, at a third of the cost of a coroutine in one.
    """

    __slots__ = ("future", "go_on")

    def __init__(
        self, future: "asyncio.Future[Any]", go_on: Callable[[Any], Awaitable[None] | None]
    ) -> None:
        self.future = future
        self.go_on = go_on

    def __await__(self) -> Generator[Any, None, None]:
        more = self.go_on((yield from self.future.__await__()))
        if more is not None:
            yield from more.__await__()

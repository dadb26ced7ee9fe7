"""In charge of the moment at which a caller stops waiting, and of answering it by then.

Contract
    `deadline` is set by who takes a request and kept by whatever is called in its context. `within`
    ends by then, whether or not what it waits for does.

Order
    Outermost: retries, waits in a queue and attempts all count.

Cancellation
    What is not done in time is cancelled and not waited for: a driver may end a cancelled call late.
    It stays in the set that the caller gives until it ends, and holds its place until then. A
    cancelled caller leaves in the same way.

Defaults
    No deadline. Then nothing is paid for: no task and no timer.

Rejected
    `asyncio.timeout`: it waits until the cancelled call has ended, and PyMongo's ends when the
    server answers. A task for every call: it costs nine microseconds, more than all policies.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
"""By the loop's clock. A task that outlives its request must begin with an empty context."""


class DeadlinePassed(Exception):
    """The caller does not wait any longer."""


def remaining() -> float | None:
    """Return the seconds that the caller still waits, 0 when it is late; None: as long as it takes."""
    until = deadline.get()
    return None if until is None else max(0.0, until - asyncio.get_running_loop().time())


async def within(
    until: float,
    late: set["asyncio.Task[Any]"],
    method: Callable[P, Awaitable[T]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Return what `method` returns; raise DeadlinePassed at `until`, of the loop's clock.

    A method that has not begun by then is not called. One that ends later is in `late` until then.
    """
    left = until - asyncio.get_running_loop().time()
    if left <= 0:
        raise DeadlinePassed
    task = asyncio.ensure_future(method(*args, **kwargs))
    try:
        await asyncio.wait({task}, timeout=left)
    finally:
        if not task.done():
            task.cancel()
            late.add(task)
            task.add_done_callback(lambda ended: _forget(late, ended))
    if not task.done():
        raise DeadlinePassed
    return task.result()


def _forget(late: set["asyncio.Task[Any]"], ended: "asyncio.Future[Any]") -> None:
    late.discard(ended)
    if not ended.cancelled():
        ended.exception()  # else asyncio logs that nobody looked: the caller is gone

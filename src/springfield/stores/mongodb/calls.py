"""In charge of one call to MongoDB: when it ends, whether it is cancelled, and as what it fails.

Cancellation
    A cancelled call ends when MongoDB has answered, at the latest when its time is up. PyMongo
    leaves a socket to the garbage collector where it is cancelled while it connects (its issue
    PYTHON-5867), and closes a good connection where it waits for a reply.

Rejected
    To abandon the call and let it run on: a cancelled write that still waits for a connection
    would then happen behind a later one.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.errors import NetworkTimeout, PyMongoError

from springfield.stores.mongodb.errors import Server, Traffic, traffic

_P = ParamSpec("_P")
_T = TypeVar("_T")

_TURNS = 4
"""Turns of the event loop before a write. PyMongo does not listen on its idle connections: that a server
has closed them is learnt by its monitor from its own, and then the pool is emptied. With one turn a write
that comes in the same moment still goes out on a closed one, and nobody knows its outcome. Three were
enough, on a busy machine."""

_GRACE = 0.25  # the driver's own deadline comes first: its error says more than ours


def to_the_end(
    work: Callable[_P, Coroutine[Any, Any, _T]],
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Keep a cancellation from `work`, which is bounded, and hand it on when that is over."""

    @functools.wraps(work)
    async def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        task = asyncio.create_task(work(*args, **kwargs))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_look_at)
            await asyncio.wait([task])
            raise

    return call


def _look_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # else asyncio logs that nobody did: the caller is gone


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one adapter."""

    client: AsyncMongoClient[dict[str, Any]]
    server: Server

    @asynccontextmanager
    async def bounded(self, longest: float | None = None) -> AsyncIterator[None]:
        """Bound what is done inside (seconds; default: the server's timeout), map its failure."""
        done = Traffic()
        token = traffic.set(done)
        try:
            async with asyncio.timeout((longest or self.server.timeout) + _GRACE):
                yield
        except TimeoutError as error:
            if done.sent:
                raise self.server.outcome_unknown(slow=True) from error
            raise self.server.too_slow() from error
        except (PyMongoError, BSONError) as error:
            raise self.server.failure(error, done, down=self._is_down()) from error
        finally:
            traffic.reset(token)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Bound a write and map its failure; let PyMongo learn first that its server is gone."""
        async with self.bounded():
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            yield

    def _is_down(self) -> bool:
        servers = self.client.topology_description.server_descriptions().values()
        return any(s.error and not isinstance(s.error, NetworkTimeout) for s in servers)

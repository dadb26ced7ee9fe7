"""In charge of exchanges with one Redis server: their deadline, and what their failures mean.

A connection whose exchange was cut short is closed, never reused: what it would still deliver is
the answer to somebody else's question. The only file that turns the driver's errors into ours.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Any, Protocol

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as DriverTimeoutError

from springfield.errors import Misconfigured, OutcomeUnknown, StoreError, Unavailable
from springfield.stores.places import Places
from springfield.stores.redis.connections import DriverConnection
from springfield.stores.store import PoolStatus

Command = tuple[bytes | str | int, ...]
Request = tuple[Command, ...]
"""Commands that belong together: a single one, or from MULTI to EXEC."""
Reply = Any
"""What the server answered. Its refusal of that one command is an exception, given, not raised."""

_REFUSALS = (ResponseError, AuthenticationError, BusyLoadingError)
_TEMPORARY = (BusyLoadingError, ClusterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)
_TEMPORARY_CODES = ("BUSY ", "MISCONF ", "NOREPLICAS ")
_FORBIDDEN = (AuthenticationError, NoPermissionError)


class Servers(Protocol):
    """Where the keys of one store are: one server, or the primaries of a cluster."""

    place: str
    """For messages."""

    is_spread: bool
    """Whether keys are on several servers, so that a request must keep to one key."""

    async def wave(
        self, requests: Mapping[bytes, Request], until: float, *, writes: bool
    ) -> Mapping[bytes, Reply]:
        """Send each request to where its key is, all at once; return the answers by key.

        An answer is the last reply to the request, or the first refusal in it. Ends by `until` of the loop's clock. What no answer came to is a StoreError among the
        replies, or raised when that is true of all; `writes` makes it OutcomeUnknown.
        """
        ...

    async def primaries(self, until: float) -> Sequence["Server"]:
        """Return every server that holds keys."""
        ...

    def pool(self) -> PoolStatus:
        """See Pooled. Of all servers together."""
        ...


class Server:
    """One server, or whichever the sentinels name."""

    is_spread = False

    def __init__(self, pool: ConnectionPool, place: str, timeout: float) -> None:
        """Use the connections of `pool`; `place` and `timeout` are for messages."""
        self.place = place
        self._pool = pool
        self._timeout = timeout
        # Not the driver's blocking pool: a cancelled waiter of that can take a wake-up with it.
        self._places = Places(pool.max_connections)

    async def exchange(
        self, commands: Sequence[Command], until: float, *, writes: bool = False
    ) -> list[Reply]:
        """Send the commands at once and return a reply to each, by `until` of the loop's clock.

        Raises Unavailable when nothing was written, OutcomeUnknown when something may have been,
        Misconfigured when the server does not let us in.
        """
        is_sent = False
        try:
            async with asyncio.timeout_at(until), self._places:
                connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
                try:
                    packed = connection.pack_commands(commands)
                    is_sent = True
                    await connection.send_packed_command(packed, check_health=False)
                    return await _replies(connection, len(commands))
                except BaseException:
                    await connection.disconnect(nowait=True)
                    raise
                finally:
                    await self._pool.release(connection)
        except (RedisError, OSError) as error:
            raise self._failure(error, is_unknown=writes and is_sent) from error

    async def wave(
        self, requests: Mapping[bytes, Request], until: float, *, writes: bool
    ) -> Mapping[bytes, Reply]:
        """See Servers."""
        commands = list(chain(*requests.values()))
        replies = iter(await self.exchange(commands, until, writes=writes))
        return {
            key: _answer(list(islice(replies, len(request)))) for key, request in requests.items()
        }

    async def primaries(self, until: float) -> Sequence["Server"]:
        """See Servers."""
        del until  # nothing is to be asked
        return [self]

    def pool(self) -> PoolStatus:
        """See Pooled."""
        places = self._places
        # Not get_connection_count: it makes OpenTelemetry's attributes on the way.
        idle = len(self._pool._available_connections)  # noqa: SLF001
        return PoolStatus(places.size, places.in_use + idle, places.in_use, places.waiting)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    def _failure(self, error: Exception, *, is_unknown: bool) -> StoreError:
        origin = error.__context__
        if isinstance(origin, ReadOnlyError):  # a demoted primary; a connection error by then
            return refusal(self.place, origin)
        if isinstance(origin, ssl.SSLCertVerificationError):
            return Misconfigured(
                f"The TLS certificate of Redis at {self.place} is not trusted "
                f"({origin.verify_message}); set ssl_ca_certs in the store URL."
            )
        if isinstance(error, _REFUSALS):
            return refusal(self.place, error)
        is_slow = isinstance(error, TimeoutError | DriverTimeoutError)
        if is_slow:
            what = f"did not answer within {self._timeout:g} s"
        else:
            what = "broke the connection off" if is_unknown else "cannot be reached"
        if is_unknown:
            return OutcomeUnknown(
                f"Redis at {self.place} {what}; the write may have happened or may happen yet.",
                slow=is_slow,
            )
        return Unavailable(f"Redis at {self.place} {what}; nothing was written.", slow=is_slow)


def refusal(place: str, error: Exception) -> StoreError:
    """Return what a command's refusal by the server means: that command wrote nothing."""
    if isinstance(error, StoreError):
        return error
    # Behind these the server repeats arguments, which may be secret, or names the script.
    words = str(error).partition(", with args")[0].partition(" script: ")[0]
    if isinstance(error, _TEMPORARY) or words.startswith(_TEMPORARY_CODES):
        return Unavailable(
            f"Redis at {place} cannot serve this now; nothing was written. It says: {words}"
        )
    if isinstance(error, _FORBIDDEN):
        return Misconfigured(
            f"Redis at {place} denies access; correct the user and the password in the store URL, "
            f"or the user's permissions. It says: {words}"
        )
    if isinstance(error, AskError | ClusterCrossSlotError):  # MOVED is an AskError, too
        return Misconfigured(
            f"Redis at {place} is a node of a cluster; write redis+cluster:// in the store URL."
        )
    return Misconfigured(
        f"Redis at {place} refuses what this resource needs; check the store URL and the server's "
        f"settings. It says: {words}"
    )


def _answer(replies: Sequence[Reply]) -> Reply:
    """Give the first refusal: that of EXEC only says that there was one."""
    return next((reply for reply in replies if isinstance(reply, Exception)), replies[-1])


async def _replies(connection: DriverConnection, count: int) -> list[Reply]:
    replies: list[Reply] = []
    for _ in range(count):
        try:
            replies.append(await connection.reply())
        except _REFUSALS as error:
            replies.append(error)
    return replies

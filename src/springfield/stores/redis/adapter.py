"""In charge of keeping items in Redis or Valkey: one server, a cluster, or behind sentinels.

Layout: the plain key is the name (behind the URL's `prefix`), the plain value is the content. Keys
of another type than string belong to somebody else: never read, overwritten, deleted or listed.
"""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar, cast

from redis.exceptions import NoPermissionError, OutOfMemoryError

from springfield.errors import (
    ListingTooExpensive,
    NotStorable,
    SpringfieldError,
    StoreError,
    Unavailable,
    WrongType,
)
from springfield.model import Item, Name, entity_tag_of
from springfield.stores.redis import commands
from springfield.stores.redis.cluster import Cluster
from springfield.stores.redis.connections import (
    pool_at,
    pool_at_socket_file,
    pool_of_sentinels,
)
from springfield.stores.redis.inspection import inspection_of
from springfield.stores.redis.scan import Page, scan
from springfield.stores.redis.server import Command, Reply, Request, Server, Servers, refusal
from springfield.stores.redis.url import Address, RedisUrl, parse_redis_url
from springfield.stores.store import Inspection, Outcome, PoolStatus, StoreOptions, Swapped

T = TypeVar("T")


@asynccontextmanager
async def open_store(url: str, options: StoreOptions) -> AsyncIterator["Redis"]:
    """Open one of the Redis URLs, with `?prefix=` (default: none) before each name."""
    parsed = parse_redis_url(url)
    async with AsyncExitStack() as stack:
        if parsed.is_cluster:
            servers: Server | Cluster = Cluster(
                parsed.addresses, lambda address: _server_at(address, parsed, options)
            )
        elif parsed.service:
            pool = await stack.enter_async_context(pool_of_sentinels(parsed, options))
            sentinels = ",".join(f"{host}:{port}" for host, port in parsed.addresses)
            place = f"{parsed.service} (sentinels {sentinels})"
            servers = Server(pool, place, options.timeout)
        elif parsed.path:
            pool = pool_at_socket_file(parsed, options)
            servers = Server(pool, parsed.path, options.timeout)
        else:
            servers = _server_at(parsed.addresses[0], parsed, options)
        stack.push_async_callback(servers.close)
        yield Redis(servers, parsed.prefix, options.timeout)


def _server_at(address: Address, url: RedisUrl, options: StoreOptions) -> Server:
    host, port = address
    return Server(pool_at(address, url, options), f"{host}:{port}", options.timeout)


class Redis:
    """The strings of a Redis database as a store."""

    verbatim = True

    def __init__(self, servers: Servers, prefix: bytes, timeout: float) -> None:
        self._servers = servers
        self._prefix = prefix
        self._timeout = timeout

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        """See Store. One exchange, of contents and ends at the same moment."""
        keys = self._keys(names)
        until = self._until()
        found = await self._find(list(keys), commands.get, until)
        full = [key for key, each in found.items() if isinstance(each, OutOfMemoryError)]
        if full:
            again = await self._find(full, commands.get_by_script, until)
            found = {key: found[key] for key in found.keys() - set(full)} | again
        failed = {key: each for key, each in found.items() if isinstance(each, Exception)}
        items = {keys[key]: each for key, each in found.items() if isinstance(each, Item)}
        return {**items, **self._errors(keys, failed)}

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, Outcome]:
        """See Store. One script for all; on a cluster one a name."""
        outcomes: dict[Name, Outcome] = {}
        settings: dict[bytes, commands.Setting] = {}
        for name, item in items.items():
            try:
                settings[self._prefix + name.encode()] = commands.setting_of(item)
                outcomes[name] = entity_tag_of(item.content)
            except NotStorable as error:
                outcomes[name] = error
        keys = [name for name in items if isinstance(outcomes[name], str)]
        return {
            **outcomes,
            **await self._change(
                keys, lambda group: commands.put({key: settings[key] for key in group})
            ),
        }

    async def swap(self, name: Name, expected: Item | None, new: Item | None) -> Swapped | None:
        """See Store. One script, which sends the expected content along."""
        key = self._prefix + name.encode()
        setting = () if new is None else commands.setting_of(new)
        request = commands.swap(key, None if expected is None else expected.content, setting)
        [reply] = (await self._servers.wave({key: request}, self._until(), writes=True)).values()
        if isinstance(reply, Exception):
            raise self._error(name, reply)
        if not reply:
            return None
        return Swapped(None if new is None else entity_tag_of(new.content))

    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        """See Store. Costs as many commands as `write`."""
        return await self._change(names, commands.delete)

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """See Store. Scans the whole database for each page, and keeps about `limit` names."""
        until = self._until()
        page = Page(self._prefix, prefix, after, limit)
        try:
            await self._at_each_primary(lambda server: scan(server, page, until), until)
        except Unavailable as error:
            if not (error.slow and page.has_begun):
                raise
            raise ListingTooExpensive(
                f"Redis at {self._servers.place} was not listed within {self._timeout:g} s: each "
                "page scans the whole database. Raise the timeout or use a smaller database."
            ) from error
        return page.names()

    def pool(self) -> PoolStatus:
        """See Pooled."""
        return self._servers.pool()

    async def ping(self) -> None:
        """See Store. Asks every primary, and for one name that no item can have."""
        until = self._until()

        async def ping(server: Server) -> None:
            [reply] = await server.exchange([(b"PING",)], until)
            if isinstance(reply, Exception):
                raise refusal(server.place, reply)

        await self._at_each_primary(ping, until)
        key = self._prefix + b"\0"
        request = (*commands.get([key]), *commands.get_by_script([key]))
        [reply] = (await self._servers.wave({key: request}, until, writes=False)).values()
        if isinstance(reply, Exception) and not isinstance(reply, OutOfMemoryError):
            raise refusal(self._servers.place, reply)

    async def inspect(self) -> Inspection:
        """See Upkeep. Says less where the server forbids INFO or CONFIG."""
        until = self._until()
        questions: list[Command] = [
            (b"INFO",),
            (b"CONFIG", b"GET", b"save"),
            (b"CONFIG", b"GET", b"appendfsync"),
        ]
        replies = await self._at_each_primary(
            lambda server: server.exchange(questions, until), until
        )
        for info, *_ in replies:
            if isinstance(info, Exception) and not isinstance(info, NoPermissionError):
                raise refusal(self._servers.place, info)
        return inspection_of(replies)

    async def prepare(self, *, with_ttl: bool = False) -> Sequence[str]:
        """See Upkeep. Redis needs nothing prepared."""
        del with_ttl  # lifetimes are Redis' own
        return ()

    async def _find(
        self, keys: Sequence[bytes], request: Callable[[Sequence[bytes]], Request], until: float
    ) -> dict[bytes, Item | Exception]:
        found: dict[bytes, Item | Exception] = {}
        for group, reply in await self._ask(keys, request, until, writes=False):
            found |= commands.items_in(group, reply)
        return found

    async def _change(
        self, names: Collection[Name], request: Callable[[Sequence[bytes]], Request]
    ) -> dict[Name, SpringfieldError]:
        keys = self._keys(names)
        problems: dict[bytes, Exception] = {}
        for group, reply in await self._ask(list(keys), request, self._until(), writes=True):
            problems |= commands.refused_by(group, reply)
        return self._errors(keys, problems)

    async def _ask(
        self,
        keys: Sequence[bytes],
        request: Callable[[Sequence[bytes]], Request],
        until: float,
        *,
        writes: bool,
    ) -> Sequence[tuple[Sequence[bytes], Reply]]:
        """Send one request for all keys, or one a key where they must be apart."""

        async def ask(groups: Sequence[Sequence[bytes]]) -> list[tuple[Sequence[bytes], Reply]]:
            requests = {group[0]: request(group) for group in groups}
            replies = await self._servers.wave(requests, until, writes=writes)
            return [(group, replies[group[0]]) for group in groups]

        if not keys:
            return []
        if len(keys) > 1 and not self._servers.is_spread:
            answers = await ask([keys])
            # A forbidden key refuses the request before it runs: then each is on its own.
            if not isinstance(answers[0][1], NoPermissionError):
                return answers
        return await ask([[key] for key in keys])

    def _errors(
        self, keys: Mapping[bytes, Name], problems: Mapping[bytes, Exception]
    ) -> dict[Name, SpringfieldError]:
        errors = {keys[key]: self._error(keys[key], problem) for key, problem in problems.items()}
        kinds = {type(error) for error in errors.values()}
        if len(errors) == len(keys) and len(kinds) == 1:  # it is the store, not a name
            for error in errors.values():
                if isinstance(error, StoreError):
                    raise error
        return errors

    def _error(self, name: Name, problem: Exception) -> SpringfieldError:
        if str(problem).startswith("WRONGTYPE"):
            return WrongType(
                f"Redis holds something other than a string as {name}, such as a list or a hash; "
                "use another name."
            )
        return refusal(self._servers.place, problem)

    async def _at_each_primary(
        self, ask: Callable[[Server], Awaitable[T]], until: float
    ) -> Sequence[T]:
        primaries = await self._servers.primaries(until)
        # All are waited for: none goes on in the background when another has failed.
        answers = await asyncio.gather(*map(ask, primaries), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return cast("list[T]", answers)

    def _keys(self, names: Iterable[Name]) -> dict[bytes, Name]:
        return {self._prefix + name.encode(): name for name in names}

    def _until(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout

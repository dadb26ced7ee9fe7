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
from itertools import chain
from typing import TypeVar, cast

from redis.exceptions import NoPermissionError, ResponseError

from springfield.errors import SpringfieldError, StoreError, Unavailable, WrongType
from springfield.model import Item, Name
from springfield.stores.redis.cluster import Cluster
from springfield.stores.redis.connections import (
    pool_at,
    pool_at_socket_file,
    pool_of_sentinels,
)
from springfield.stores.redis.inspection import inspection_of
from springfield.stores.redis.scan import Page, scan
from springfield.stores.redis.server import Command, Reply, Server, Servers, refusal
from springfield.stores.redis.url import Address, RedisUrl, parse_redis_url
from springfield.stores.store import Inspection, StoreOptions

T = TypeVar("T")

# SET and DEL would destroy a list or a hash. With a value for each, the keys are set, with none,
# deleted; the answer is the indexes of those that hold something else than a string.
_CHANGE = b"""\
local refused = {}
for index, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'string' and kind ~= 'none' then
    refused[#refused + 1] = index
  elseif ARGV[index] then
    redis.call('SET', key, ARGV[index])
  else
    redis.call('DEL', key)
  end
end
return refused
"""


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

    def __init__(self, servers: Servers, prefix: bytes, timeout: float) -> None:
        self._servers = servers
        self._prefix = prefix
        self._timeout = timeout

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        """See Store. One MGET; on a cluster, and for what MGET does not give, a GET each."""
        keys = self._keys(names)
        until = self._until()
        values: dict[bytes, Reply] = {}
        if self._servers.whole and len(keys) > 1:
            [reply] = await self._servers.whole.exchange([(b"MGET", *keys)], until)
            if not isinstance(reply, Exception):
                values = dict(zip(keys, reply, strict=True))
        # MGET shows a list as absent, and fails for all when one key is forbidden.
        rest: dict[bytes, Command] = {key: (b"GET", key) for key in keys if values.get(key) is None}
        if rest:
            values |= await self._servers.wave(rest, until, writes=False)
        failed = {key: value for key, value in values.items() if isinstance(value, Exception)}
        errors = self._errors(keys, failed)
        found = {
            keys[key]: Item(value) for key, value in values.items() if isinstance(value, bytes)
        }
        return {**found, **errors}

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, SpringfieldError]:
        """See Store. One script for all; on a cluster one a name. Ends an expiry of the key."""
        keys = self._keys(items)
        return await self._change(keys, {key: (items[keys[key]].content,) for key in keys})

    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        """See Store. Costs as many commands as `write`."""
        keys = self._keys(names)
        return await self._change(keys, dict.fromkeys(keys, ()))

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """See Store. Scans the whole database for each page, and keeps about `limit` names."""
        until = self._until()
        page = Page(self._prefix, prefix, after, limit)
        try:
            await self._at_each_primary(lambda server: scan(server, page, until), until)
        except Unavailable as error:
            if not error.slow:
                raise
            raise Unavailable(
                f"Redis at {self._servers.place} was not listed within {self._timeout:g} s: each "
                "page scans the whole database. Raise the timeout or use a smaller database.",
                slow=True,
            ) from error
        return page.names()

    async def ping(self) -> None:
        """See Store. Asks every primary, and for one name that no item can have."""
        until = self._until()

        async def ping(server: Server) -> None:
            [reply] = await server.exchange([(b"PING",)], until)
            if isinstance(reply, Exception):
                raise refusal(server.place, reply)

        await self._at_each_primary(ping, until)
        key = self._prefix + b"\0"
        [reply] = (await self._servers.wave({key: (b"GET", key)}, until, writes=False)).values()
        if isinstance(reply, Exception):
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

    async def prepare(self) -> Sequence[str]:
        """See Upkeep. Redis needs nothing prepared."""
        return ()

    async def _change(
        self, keys: Mapping[bytes, Name], contents: Mapping[bytes, tuple[bytes, ...]]
    ) -> Mapping[Name, SpringfieldError]:
        if not keys:
            return {}
        until = self._until()
        if self._servers.whole and len(keys) > 1:
            [reply] = await self._servers.whole.exchange([_script(contents)], until, writes=True)
            # A forbidden key refuses the script before it runs: then each name is on its own.
            if not isinstance(reply, NoPermissionError):
                return self._errors(keys, _problems(contents, reply))
        replies = await self._servers.wave(
            {key: _script({key: content}) for key, content in contents.items()}, until, writes=True
        )
        problems: dict[bytes, Reply] = {}
        for key, reply in replies.items():
            problems |= _problems([key], reply)
        return self._errors(keys, problems)

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


def _script(contents: Mapping[bytes, tuple[bytes, ...]]) -> Command:
    return (b"EVAL", _CHANGE, len(contents), *contents, *chain(*contents.values()))


def _problems(keys: Iterable[bytes], reply: Reply) -> dict[bytes, Exception]:
    if isinstance(reply, Exception):
        return dict.fromkeys(keys, reply)
    ordered = list(keys)
    return {ordered[index - 1]: ResponseError("WRONGTYPE") for index in reply}

"""In charge of which primary of a Redis Cluster holds a key. Follows the cluster specification.

The driver's own cluster client is not used; why is in decision 0005.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError

from springfield.errors import StoreError, Unavailable
from springfield.stores.redis.server import Reply, Request, Server, refusal
from springfield.stores.redis.url import Address
from springfield.stores.store import PoolStatus

_ROUNDS = 5
"""How often one command may be sent on: a slot that moves costs one round, seldom two."""

_Route = tuple[Address, bool]
"""Where to send a command, and whether ASKING goes before it."""


class Cluster:
    """The primaries of a cluster; asks anew which slot is where after every surprise.

    A node that leaves the cluster keeps its idle connections until the store is closed.
    """

    is_spread = True

    def __init__(self, seeds: Iterable[Address], connect: Callable[[Address], Server]) -> None:
        """Ask any of `seeds` for the map of slots; `connect` makes a server, unconnected."""
        self._servers = {address: connect(address) for address in seeds}
        self._connect = connect
        self._sources = list(self._servers)
        self._owners: Sequence[Address | None] = ()
        self._learning = asyncio.Lock()
        self._is_stale = True
        self.place = ",".join(server.place for server in self._servers.values())

    async def wave(
        self, requests: Mapping[bytes, Request], until: float, *, writes: bool
    ) -> Mapping[bytes, Reply]:
        """See Servers. One exchange a primary, all at once, and one more for what it redirects."""
        await self._learn(until)
        replies: dict[bytes, Reply] = {}
        routes: dict[bytes, _Route] = {}
        for key in requests:
            owner = self._owners[key_slot(key)]
            if owner is None:
                replies[key] = self._unserved()
            else:
                routes[key] = (owner, False)
        for _ in range(_ROUNDS):
            replies |= await self._send(requests, routes, until, writes=writes)
            routes = self._redirected(routes, replies)
            if not routes:
                break
        return replies | {key: self._unserved() for key in routes}

    async def primaries(self, until: float) -> Sequence[Server]:
        """See Servers. Raises Unavailable when a slot is served by none."""
        await self._learn(until)
        if None in self._owners:
            raise self._unserved()
        return [self._server(owner) for owner in dict.fromkeys(self._owners) if owner]

    def pool(self) -> PoolStatus:
        """See Servers."""
        pools = [server.pool() for server in tuple(self._servers.values())]
        return PoolStatus(*map(sum, zip(*pools, strict=True)))

    async def close(self) -> None:
        """Close all connections."""
        for server in self._servers.values():
            await server.close()

    async def _send(
        self,
        requests: Mapping[bytes, Request],
        routes: Mapping[bytes, _Route],
        until: float,
        *,
        writes: bool,
    ) -> dict[bytes, Reply]:
        shares: dict[Address, dict[bytes, Request]] = defaultdict(dict)
        for key, (address, asks) in routes.items():
            shares[address][key] = ((b"ASKING",), *requests[key]) if asks else requests[key]
        replies: dict[bytes, Reply] = {}

        async def send_share(address: Address, share: Mapping[bytes, Request]) -> None:
            try:
                replies.update(await self._server(address).wave(share, until, writes=writes))
            except StoreError as error:  # of this server; the keys on others are served
                self._is_stale = True
                replies.update(dict.fromkeys(share, error))

        async with asyncio.TaskGroup() as group:
            for address, share in shares.items():
                group.create_task(send_share(address, share))
        return replies

    def _redirected(
        self, routes: Mapping[bytes, _Route], replies: Mapping[bytes, Reply]
    ) -> dict[bytes, _Route]:
        onward: dict[bytes, _Route] = {}
        for key, (teller, _) in routes.items():
            reply = replies[key]
            if isinstance(reply, AskError):  # MovedError is one, too
                is_moved = isinstance(reply, MovedError)
                self._is_stale |= is_moved
                onward[key] = (_address(reply.host, reply.port, teller), not is_moved)
            elif isinstance(reply, ClusterDownError):
                self._is_stale = True
        return onward

    async def _learn(self, until: float) -> None:
        if not self._is_stale:
            return
        # Who waits here began later than who holds the lock, and so has the later deadline.
        async with self._learning:
            if self._is_stale:
                self._owners = await self._ask_for_owners(until)
                self._is_stale = False

    async def _ask_for_owners(self, until: float) -> Sequence[Address | None]:
        failure: StoreError | None = None
        for left in range(len(self._sources), 0, -1):
            source = self._sources[0]
            # Each has a share of the time: a dead one must leave some for the next.
            now = asyncio.get_running_loop().time()
            share = now + (until - now) / (left + 1)
            try:
                [reply] = await self._server(source).exchange([(b"CLUSTER", b"SLOTS")], share)
            except StoreError as error:
                failure = error
            else:
                if not isinstance(reply, Exception):
                    return self._owners_in(reply, source)
                failure = refusal(self.place, reply)
            self._sources.append(self._sources.pop(0))
        raise failure or self._unserved()

    def _owners_in(self, ranges: Any, teller: Address) -> Sequence[Address | None]:
        owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, *nodes in ranges:
            addresses = [_address((host or b"").decode(), port, teller) for host, port, *_ in nodes]
            owners[first : last + 1] = [addresses[0]] * (last + 1 - first)
            self._sources += [each for each in addresses if each not in self._sources]
        return owners

    def _server(self, address: Address) -> Server:
        if address not in self._servers:
            self._servers[address] = self._connect(address)
        return self._servers[address]

    def _unserved(self) -> Unavailable:
        self._is_stale = True
        return Unavailable(
            f"The Redis cluster at {self.place} does not serve all names now; nothing was written."
        )


def _address(host: str, port: int, teller: Address) -> Address:
    """No known host means the one that told (the specification's unknown endpoint)."""
    return (host if host not in ("", "?") else teller[0], port)

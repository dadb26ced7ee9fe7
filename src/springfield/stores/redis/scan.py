"""In charge of listing names: SCAN over a server, and the page that is kept of what it gives."""

import heapq
import re
from collections.abc import Iterable

from springfield.model import Name, is_legal_name
from springfield.stores.redis.server import Server, refusal

_COUNT = 1000
"""Keys that the server looks at per command: some hundred microseconds of its time."""

_GLOB = re.compile(rb"[*?\[\]\\]")


class Page:
    """The first `limit` names behind `after`, of as many keys as there are, in bounded memory."""

    def __init__(self, key_prefix: bytes, prefix: str, after: Name | None, limit: int) -> None:
        """Want the keys that begin with `key_prefix`, taken off, and then with `prefix`."""
        self.pattern = _GLOB.sub(rb"\\\g<0>", key_prefix + prefix.encode()) + b"*"
        self._cut = len(key_prefix)
        self._after = (after or "").encode()
        self._limit = limit
        self._kept: set[bytes] = set()  # SCAN may give a key twice
        self._ceiling: bytes | None = None
        self.has_begun = False
        """Whether a server has answered at all."""

    def add(self, keys: Iterable[bytes]) -> None:
        """Keep what belongs on the page as far as is known; other programs' keys may be illegal."""
        self.has_begun = True
        for key in keys:
            name = key[self._cut :]
            is_wanted = name > self._after and (self._ceiling is None or name < self._ceiling)
            if is_wanted and _is_legal(name):
                self._kept.add(name)
        if len(self._kept) > self._limit + _COUNT:
            self._kept = set(heapq.nsmallest(self._limit, self._kept))
            self._ceiling = max(self._kept)

    def names(self) -> list[Name]:
        """Return the page, in byte order."""
        return [Name(name.decode()) for name in sorted(self._kept)[: self._limit]]


async def scan(server: Server, page: Page, until: float) -> None:
    """Add all keys of one server to the page, by `until` of the loop's clock."""
    cursor = b"0"
    while True:
        command = (b"SCAN", cursor, b"MATCH", page.pattern, b"COUNT", _COUNT, b"TYPE", b"string")
        [reply] = await server.exchange([command], until)
        if isinstance(reply, Exception):
            raise refusal(server.place, reply)
        cursor, keys = reply
        page.add(keys)
        if cursor == b"0":
            return


def _is_legal(name: bytes) -> bool:
    try:
        return is_legal_name(name.decode())
    except UnicodeDecodeError:
        return False

"""In charge of listing the keys under a prefix in byte order, on endpoints that do so and others.

Amazon's S3 lists in byte order. SeaweedFS lists folder by folder (``a/b`` before ``a b``) and,
asked to start after ``a``, leaves out ``a/b``; S3 Express One Zone lists in no order at all.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from springfield.model import Name, is_legal_name
from springfield.stores.s3.client import Bucket, inspection_of, is_seaweedfs, server_of
from springfield.stores.store import Inspection

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

PAGE = 1000
"""The most keys that S3 lists at once."""

_UNORDERED = (
    "This endpoint does not list keys in byte order: each page of a listing looks at every key "
    "under its prefix. Keep few objects there."
)
_LEAST = 100  # asked for at least, so that skipped keys seldom cost another round trip


class Listing:
    """The names under one prefix of a bucket."""

    def __init__(
        self, bucket: Bucket, root: str, is_storable: Callable[[str], bool], seconds: float
    ) -> None:
        self._bucket = bucket
        self._root = root
        self._is_storable = is_storable
        self._seconds = seconds
        self._is_ordered = not bucket.name.endswith("--x-s3")  # S3 Express One Zone

    async def names(self, prefix: str, after: Name | None, limit: int) -> Sequence[Name]:
        """Return up to `limit` names behind `after`, within the timeout, whatever it takes.

        Where the endpoint has another order this looks at every key under `prefix`, and keeps
        no more than `limit` names of them.
        """
        until = asyncio.get_running_loop().time() + self._seconds
        if self._is_ordered:
            names = await self._first(prefix, after, limit, until)
            if names is not None:
                return names
            self._is_ordered = False
        return await self._smallest(prefix, after, limit, until)

    async def probe(self) -> tuple[str, bool]:
        """Ask for one key; return what the server calls itself, and whether it keeps order."""
        answer = await self._bucket.ask(partial(self._list, self._root, 1))
        self._is_ordered = self._is_ordered and not is_seaweedfs(answer)
        return server_of(answer), self._is_ordered

    async def inspect(self) -> Inspection:
        """Say what the endpoint calls itself, and whether it lists in byte order."""
        server, is_ordered = await self.probe()
        return inspection_of(server, [] if is_ordered else [_UNORDERED])

    async def _first(
        self, prefix: str, after: Name | None, limit: int, until: float
    ) -> Sequence[Name] | None:
        """Return the first names behind `after`; None when the endpoint lists in another order."""
        found: list[Name] = []
        start: dict[str, str] | None = {} if after is None else {"StartAfter": self._root + after}
        while start is not None and len(found) < limit:
            answer = await self._page(prefix, limit - len(found), until, start)
            keys = _keys(answer)
            if is_seaweedfs(answer) or keys != sorted(keys):
                return None
            found += self._names(keys, prefix)
            start = _next(answer)
        return found[:limit]

    async def _smallest(
        self, prefix: str, after: Name | None, limit: int, until: float
    ) -> Sequence[Name]:
        smallest: list[Name] = []
        start: dict[str, str] | None = {}
        while start is not None:
            answer = await self._page(prefix, PAGE, until, start)
            names = self._names(_keys(answer), prefix)
            behind = [name for name in names if after is None or name > after]
            smallest = sorted(smallest + behind)[:limit]
            start = _next(answer)
        return smallest

    async def _page(
        self, prefix: str, count: int, until: float, start: dict[str, str]
    ) -> "ListObjectsV2OutputTypeDef":
        left = until - asyncio.get_running_loop().time()
        count = min(PAGE, max(count, _LEAST))
        return await self._bucket.ask(partial(self._list, self._root + prefix, count, start), left)

    def _list(
        self, prefix: str, count: int, start: dict[str, str] | None = None
    ) -> "ListObjectsV2OutputTypeDef":
        where: Any = start or {}
        return self._bucket.client.list_objects_v2(
            Bucket=self._bucket.name, Prefix=prefix, MaxKeys=count, **where
        )

    def _names(self, keys: Collection[str], prefix: str) -> list[Name]:
        """Return what is a name here; a server that folds the prefix lists keys beside it."""
        names = [key.removeprefix(self._root) for key in keys if key.startswith(self._root)]
        return [
            Name(name)
            for name in names
            if name.startswith(prefix) and is_legal_name(name) and self._is_storable(name)
        ]


def _keys(answer: "ListObjectsV2OutputTypeDef") -> list[str]:
    return [entry["Key"] for entry in answer.get("Contents", [])]


def _next(answer: "ListObjectsV2OutputTypeDef") -> dict[str, str] | None:
    token = answer.get("NextContinuationToken")
    return {"ContinuationToken": token} if answer["IsTruncated"] and token else None

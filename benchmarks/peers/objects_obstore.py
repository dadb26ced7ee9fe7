"""In charge of S3 by obstore, as its documentation shows it."""

import os
from collections.abc import AsyncIterator
from typing import Any

from obstore.store import S3Store

_PART = 256 * 1024


class ObstoreBody:
    """An object that is being read."""

    def __init__(self, answer: Any) -> None:
        self.size = int(answer.meta["size"])
        self._answer = answer

    async def whole(self) -> bytes:
        """Return all of it."""
        return bytes(await self._answer.bytes_async())

    async def parts(self) -> AsyncIterator[bytes]:
        """Give it part by part."""
        async for part in self._answer.stream(min_chunk_size=_PART):
            yield bytes(part)


class ObstoreObjects:
    """The objects of a bucket."""

    def __init__(self) -> None:
        self._store = S3Store(
            os.environ["BENCH_BUCKET"],
            endpoint=os.environ["AWS_ENDPOINT_URL_S3"],
            access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
            secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            region=os.environ["AWS_DEFAULT_REGION"],
            client_options={"allow_http": True},
        )

    async def open(self, name: str) -> ObstoreBody:
        """Begin to read an object."""
        return ObstoreBody(await self._store.get_async(f"photos/{name}"))

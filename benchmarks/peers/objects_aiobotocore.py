"""In charge of S3 by aiobotocore, as its documentation shows it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from benchmarks.peers.pools import POOL

_PART = 256 * 1024


class AiobotocoreBody:
    """An object that is being read."""

    def __init__(self, answer: Any) -> None:
        self.size = int(answer["ContentLength"])
        self._body = answer["Body"]

    async def whole(self) -> bytes:
        """Return all of it."""
        async with self._body as stream:
            content: bytes = await stream.read()
            return content

    async def parts(self) -> AsyncIterator[bytes]:
        """Give it part by part."""
        async with self._body as stream:
            async for part in stream.iter_chunks(_PART):
                yield part


class AiobotocoreObjects:
    """The objects of a bucket."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._bucket = os.environ["BENCH_BUCKET"]

    async def open(self, name: str) -> AiobotocoreBody:
        """Begin to read an object."""
        return AiobotocoreBody(
            await self._client.get_object(Bucket=self._bucket, Key=f"photos/{name}")
        )


@asynccontextmanager
async def open_objects() -> AsyncIterator[AiobotocoreObjects]:
    """Open the client; endpoint and credentials come from the variables."""
    config = AioConfig(max_pool_connections=POOL, s3={"addressing_style": "path"})
    async with get_session().create_client("s3", config=config) as client:
        yield AiobotocoreObjects(client)

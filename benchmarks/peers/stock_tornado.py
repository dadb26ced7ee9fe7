"""In charge of the routes on stock Tornado, in the talk's style: a RequestHandler a resource.

Today's drivers in place of those of 2017, and a pool where the talk shared one MySQL connection.
boto3 runs in a thread pool, as it did.
"""

import asyncio
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import boto3
from botocore.config import Config
from tornado.concurrent import run_on_executor
from tornado.web import Application, HTTPError, RequestHandler

from benchmarks.peers.pools import PIECE, POOL, Pools, open_pools

_PART = 256 * 1024


class FlandersHandler(RequestHandler):
    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write("Hi-dilly-ho, neighborino!")


class StoreHandler(RequestHandler):
    def initialize(self, pools: Pools) -> None:
        self.pools = pools

    def answer(self, value: bytes | None, media_type: str) -> None:
        if value is None:
            raise HTTPError(404)
        self.set_header("Content-Type", media_type)
        self.write(value)

    def done(self) -> None:
        self.set_status(204)


class MargesHandler(StoreHandler):
    async def get(self, name: str) -> None:
        self.answer(await self.pools.read_marge(name), "application/octet-stream")

    async def put(self, name: str) -> None:
        await self.pools.write_marge(name, self.request.body)
        self.done()


class HomersHandler(StoreHandler):
    async def get(self, name: str) -> None:
        content = await self.pools.read_homer(name)
        if content is None:
            raise HTTPError(404)
        self.write(content)

    async def put(self, name: str) -> None:
        await self.pools.write_homer(name, json.loads(self.request.body))
        self.done()


class LisasHandler(StoreHandler):
    async def get(self, name: str) -> None:
        self.answer(await self.pools.read_lisa(name), "text/plain; charset=utf-8")

    async def put(self, name: str) -> None:
        await self.pools.write_lisa(name, self.request.body)
        self.done()


class DonutsHandler(StoreHandler):
    async def get(self, name: str) -> None:
        self.answer(await self.pools.read_donut(name), "text/plain; charset=utf-8")

    async def put(self, name: str) -> None:
        await self.pools.write_donut(name, self.request.body)
        self.done()


class PhotosHandler(RequestHandler):
    executor = ThreadPoolExecutor(POOL)
    client: ClassVar[Any] = None

    async def get(self, name: str) -> None:
        size, body = await self.open(name)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Length", size)
        part_size = size if size <= PIECE else _PART
        while part := await self.read(body, part_size):
            self.write(part)
            await self.flush()

    @run_on_executor
    def open(self, name: str) -> tuple[int, Any]:
        answer = self.client.get_object(Bucket=os.environ["BENCH_BUCKET"], Key=f"photos/{name}")
        return answer["ContentLength"], answer["Body"]

    @run_on_executor
    def read(self, body: Any, size: int) -> bytes:
        part: bytes = body.read(size)
        return part


def make_app(pools: Pools) -> Application:
    shared = {"pools": pools}
    return Application(
        [
            (r"/api/v1/flanders", FlandersHandler),
            (r"/api/v1/marges/(.+)", MargesHandler, shared),
            (r"/api/v1/homers/(.+)", HomersHandler, shared),
            (r"/api/v1/lisas/(.+)", LisasHandler, shared),
            (r"/api/v1/donuts/(.+)", DonutsHandler, shared),
            (r"/api/v1/photos/(.+)", PhotosHandler),
        ]
    )


async def main() -> None:
    if os.environ.get("BENCH_BUCKET"):
        config = Config(max_pool_connections=POOL, s3={"addressing_style": "path"})
        PhotosHandler.client = boto3.client("s3", config=config)
    async with open_pools() as pools:
        make_app(pools).listen(int(sys.argv[1]), "127.0.0.1")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

"""In charge of the routes on aiohttp's server, on uvloop."""

import sys
from collections.abc import AsyncIterator

import uvloop
from aiohttp import web

from benchmarks.peers.pools import PIECE, Pools, open_pools

POOLS = web.AppKey("pools", Pools)


async def with_pools(app: web.Application) -> AsyncIterator[None]:
    async with open_pools() as pools:
        app[POOLS] = pools
        yield


routes = web.RouteTableDef()


def bytes_or_404(value: bytes | None, content_type: str) -> web.Response:
    if value is None:
        raise web.HTTPNotFound
    return web.Response(body=value, content_type=content_type)


@routes.get("/api/v1/flanders")
async def greet(_: web.Request) -> web.Response:
    return web.Response(text="Hi-dilly-ho, neighborino!")


@routes.get("/api/v1/marges/{name:.+}")
async def read_marge(request: web.Request) -> web.Response:
    value = await request.app[POOLS].read_marge(request.match_info["name"])
    return bytes_or_404(value, "application/octet-stream")


@routes.put("/api/v1/marges/{name:.+}")
async def write_marge(request: web.Request) -> web.Response:
    await request.app[POOLS].write_marge(request.match_info["name"], await request.read())
    return web.Response(status=204)


@routes.get("/api/v1/homers/{name:.+}")
async def read_homer(request: web.Request) -> web.Response:
    content = await request.app[POOLS].read_homer(request.match_info["name"])
    if content is None:
        raise web.HTTPNotFound
    return web.json_response(content)


@routes.put("/api/v1/homers/{name:.+}")
async def write_homer(request: web.Request) -> web.Response:
    await request.app[POOLS].write_homer(request.match_info["name"], await request.json())
    return web.Response(status=204)


@routes.get("/api/v1/lisas/{name:.+}")
async def read_lisa(request: web.Request) -> web.Response:
    value = await request.app[POOLS].read_lisa(request.match_info["name"])
    return bytes_or_404(value, "text/plain")


@routes.put("/api/v1/lisas/{name:.+}")
async def write_lisa(request: web.Request) -> web.Response:
    await request.app[POOLS].write_lisa(request.match_info["name"], await request.read())
    return web.Response(status=204)


@routes.get("/api/v1/donuts/{name:.+}")
async def read_donut(request: web.Request) -> web.Response:
    value = await request.app[POOLS].read_donut(request.match_info["name"])
    return bytes_or_404(value, "text/plain")


@routes.put("/api/v1/donuts/{name:.+}")
async def write_donut(request: web.Request) -> web.Response:
    await request.app[POOLS].write_donut(request.match_info["name"], await request.read())
    return web.Response(status=204)


@routes.get("/api/v1/photos/{name:.+}")
async def read_photo(request: web.Request) -> web.StreamResponse:
    photo = await request.app[POOLS].open_photo(request.match_info["name"])
    if photo.size <= PIECE:
        return web.Response(body=await photo.whole())
    answer = web.StreamResponse(headers={"Content-Length": str(photo.size)})
    await answer.prepare(request)
    async for part in photo.parts():
        await answer.write(part)
    await answer.write_eof()
    return answer


def make_app() -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(with_pools)
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    web.run_app(
        make_app(),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )

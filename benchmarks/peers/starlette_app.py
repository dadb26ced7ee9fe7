"""In charge of the routes on Starlette, served by uvicorn with uvloop and httptools."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from benchmarks.peers.pools import PIECE, Pools, open_pools

pools: Pools


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    global pools
    async with open_pools() as pools:
        yield


def bytes_or_404(value: bytes | None, media_type: str) -> Response:
    if value is None:
        return PlainTextResponse("Not Found", 404)
    return Response(value, media_type=media_type)


async def greet(_: Request) -> Response:
    return PlainTextResponse("Hi-dilly-ho, neighborino!")


async def read_marge(request: Request) -> Response:
    value = await pools.read_marge(request.path_params["name"])
    return bytes_or_404(value, "application/octet-stream")


async def write_marge(request: Request) -> Response:
    await pools.write_marge(request.path_params["name"], await request.body())
    return Response(status_code=204)


async def read_homer(request: Request) -> Response:
    content = await pools.read_homer(request.path_params["name"])
    return PlainTextResponse("Not Found", 404) if content is None else JSONResponse(content)


async def write_homer(request: Request) -> Response:
    await pools.write_homer(request.path_params["name"], await request.json())
    return Response(status_code=204)


async def read_lisa(request: Request) -> Response:
    return bytes_or_404(await pools.read_lisa(request.path_params["name"]), "text/plain")


async def write_lisa(request: Request) -> Response:
    await pools.write_lisa(request.path_params["name"], await request.body())
    return Response(status_code=204)


async def read_donut(request: Request) -> Response:
    return bytes_or_404(await pools.read_donut(request.path_params["name"]), "text/plain")


async def write_donut(request: Request) -> Response:
    await pools.write_donut(request.path_params["name"], await request.body())
    return Response(status_code=204)


async def read_photo(request: Request) -> Response:
    photo = await pools.open_photo(request.path_params["name"])
    if photo.size <= PIECE:
        return Response(await photo.whole(), media_type="application/octet-stream")
    return StreamingResponse(
        photo.parts(),
        headers={"Content-Length": str(photo.size)},
        media_type="application/octet-stream",
    )


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/api/v1/flanders", greet),
        Route("/api/v1/marges/{name:path}", read_marge),
        Route("/api/v1/marges/{name:path}", write_marge, methods=["PUT", "POST"]),
        Route("/api/v1/homers/{name:path}", read_homer),
        Route("/api/v1/homers/{name:path}", write_homer, methods=["PUT", "POST"]),
        Route("/api/v1/lisas/{name:path}", read_lisa),
        Route("/api/v1/lisas/{name:path}", write_lisa, methods=["PUT", "POST"]),
        Route("/api/v1/donuts/{name:path}", read_donut),
        Route("/api/v1/donuts/{name:path}", write_donut, methods=["PUT", "POST"]),
        Route("/api/v1/photos/{name:path}", read_photo),
    ],
)

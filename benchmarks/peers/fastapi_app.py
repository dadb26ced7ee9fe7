"""In charge of the routes on FastAPI, served by uvicorn with uvloop and httptools."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from benchmarks.peers.pools import PIECE, Pools, open_pools

pools: Pools


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    global pools
    async with open_pools() as pools:
        yield


app = FastAPI(lifespan=lifespan)


def bytes_or_404(value: bytes | None, media_type: str) -> Response:
    if value is None:
        raise HTTPException(404)
    return Response(value, media_type=media_type)


@app.get("/api/v1/flanders", response_class=PlainTextResponse)
async def greet() -> str:
    return "Hi-dilly-ho, neighborino!"


@app.get("/api/v1/marges/{name:path}")
async def read_marge(name: str) -> Response:
    return bytes_or_404(await pools.read_marge(name), "application/octet-stream")


@app.put("/api/v1/marges/{name:path}", status_code=204)
async def write_marge(name: str, request: Request) -> None:
    await pools.write_marge(name, await request.body())


@app.get("/api/v1/homers/{name:path}")
async def read_homer(name: str) -> Any:
    content = await pools.read_homer(name)
    if content is None:
        raise HTTPException(404)
    return content


@app.put("/api/v1/homers/{name:path}", status_code=204)
async def write_homer(name: str, content: Annotated[Any, Body()]) -> None:
    await pools.write_homer(name, content)


@app.get("/api/v1/lisas/{name:path}")
async def read_lisa(name: str) -> Response:
    return bytes_or_404(await pools.read_lisa(name), "text/plain")


@app.put("/api/v1/lisas/{name:path}", status_code=204)
async def write_lisa(name: str, request: Request) -> None:
    await pools.write_lisa(name, await request.body())


@app.get("/api/v1/donuts/{name:path}")
async def read_donut(name: str) -> Response:
    return bytes_or_404(await pools.read_donut(name), "text/plain")


@app.put("/api/v1/donuts/{name:path}", status_code=204)
async def write_donut(name: str, request: Request) -> None:
    await pools.write_donut(name, await request.body())


@app.get("/api/v1/photos/{name:path}")
async def read_photo(name: str) -> Response:
    photo = await pools.open_photo(name)
    if photo.size <= PIECE:
        return Response(await photo.whole(), media_type="application/octet-stream")
    return StreamingResponse(
        photo.parts(),
        headers={"Content-Length": str(photo.size)},
        media_type="application/octet-stream",
    )

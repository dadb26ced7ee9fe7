"""In charge of the routes on BlackSheep, served by Granian on uvloop."""

from collections.abc import AsyncIterator

from blacksheep import Application, Content, Request, Response, StreamedContent, json, text

from benchmarks.peers.pools import PIECE, Pools, open_pools

app = Application()
pools: Pools


@app.lifespan
async def keep_pools() -> AsyncIterator[None]:
    global pools
    async with open_pools() as pools:
        yield


def bytes_or_404(value: bytes | None, media_type: bytes) -> Response:
    if value is None:
        return Response(404)
    return Response(200, content=Content(media_type, value))


@app.router.get("/api/v1/flanders")
async def greet() -> Response:
    return text("Hi-dilly-ho, neighborino!")


@app.router.get("/api/v1/marges/{path:name}")
async def read_marge(name: str) -> Response:
    return bytes_or_404(await pools.read_marge(name), b"application/octet-stream")


@app.router.put("/api/v1/marges/{path:name}")
async def write_marge(name: str, request: Request) -> Response:
    await pools.write_marge(name, await request.read() or b"")
    return Response(204)


@app.router.get("/api/v1/homers/{path:name}")
async def read_homer(name: str) -> Response:
    content = await pools.read_homer(name)
    return Response(404) if content is None else json(content)


@app.router.put("/api/v1/homers/{path:name}")
async def write_homer(name: str, request: Request) -> Response:
    await pools.write_homer(name, await request.json())
    return Response(204)


@app.router.get("/api/v1/lisas/{path:name}")
async def read_lisa(name: str) -> Response:
    return bytes_or_404(await pools.read_lisa(name), b"text/plain")


@app.router.put("/api/v1/lisas/{path:name}")
async def write_lisa(name: str, request: Request) -> Response:
    await pools.write_lisa(name, await request.read() or b"")
    return Response(204)


@app.router.get("/api/v1/donuts/{path:name}")
async def read_donut(name: str) -> Response:
    return bytes_or_404(await pools.read_donut(name), b"text/plain")


@app.router.put("/api/v1/donuts/{path:name}")
async def write_donut(name: str, request: Request) -> Response:
    await pools.write_donut(name, await request.read() or b"")
    return Response(204)


@app.router.get("/api/v1/photos/{path:name}")
async def read_photo(name: str) -> Response:
    photo = await pools.open_photo(name)
    if photo.size <= PIECE:
        return Response(200, content=Content(b"application/octet-stream", await photo.whole()))
    return Response(
        200, content=StreamedContent(b"application/octet-stream", photo.parts, photo.size)
    )

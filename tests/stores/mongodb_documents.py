"""In charge of collections of MongoDB for tests, as another program sees them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from springfield.model import Kind
from springfield.stores.store import StoreOptions
from tests.servers.mongodb import MongodbServer

Documents = AsyncCollection[dict[str, Any]]

JSON = StoreOptions("things", Kind.JSON)


@asynccontextmanager
async def new_documents(server: MongodbServer) -> AsyncIterator[Documents]:
    """Give a collection that is not there yet, and drop it afterwards."""
    async with AsyncMongoClient[dict[str, Any]](server.url) as client:
        documents = client.get_default_database()[f"things_{uuid4().hex}"]
        yield documents
        await documents.drop()


def url_of(server: MongodbServer, documents: Documents) -> str:
    return f"{server.url}?collection={documents.name}"


class ReplyThief:
    """A relay in front of a server that steals the next reply to an update, and hangs up."""

    def __init__(self, server: MongodbServer) -> None:
        self._server = server
        self.updates = 0
        """How many updates have passed."""
        self.is_armed = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Give the URL of the relay."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as relay:
            port = relay.sockets[0].getsockname()[1]
            yield f"mongodb://127.0.0.1:{port}/springfield_test?directConnection=true"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_connection(self._server.host, self._server.port)
        is_stolen = False

        async def ask() -> None:
            nonlocal is_stolen
            while message := await reader.read(65536):
                if b"\x02update\0" in message:
                    self.updates += 1
                    is_stolen, self.is_armed = self.is_armed, False
                downstream.write(message)
            downstream.close()

        async def answer() -> None:
            while reply := await upstream.read(65536):
                if is_stolen:
                    break
                writer.write(reply)
            writer.close()
            downstream.close()

        await asyncio.gather(ask(), answer(), return_exceptions=True)

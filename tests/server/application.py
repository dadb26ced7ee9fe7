"""In charge of a small Tornado application that shows what an engine does to its handlers."""

import asyncio
import json
import queue
from collections.abc import Awaitable
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import Application, RequestHandler, stream_request_body

PART = b"x" * 64 * 1024


class Witness:
    """What happened to the handlers, in order, for the test; and the gate that lets them go on."""

    def __init__(self) -> None:
        self.events: queue.Queue[str] = queue.Queue()
        self.gate = asyncio.Event()
        self.received = 0
        self.written = 0

    def next(self) -> str:
        """Wait for the next event."""
        return self.events.get(timeout=20)

    def is_silent(self) -> bool:
        """Whether nothing happened that the test has not seen."""
        return self.events.empty()


class Base(RequestHandler):
    def initialize(self, witness: Witness) -> None:
        self.witness = witness

    def compute_etag(self) -> None:
        return None

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.witness.events.put("gone")


class Probe(Base):
    def get(self) -> None:
        self.write(b"probe")


@stream_request_body
class Echo(Base):
    SUPPORTED_METHODS = (*RequestHandler.SUPPORTED_METHODS, "PROPFIND")

    def prepare(self) -> None:
        self.body = bytearray()

    async def data_received(self, chunk: bytes) -> None:
        self.body += chunk

    def get(self) -> None:
        request = self.request
        seen = {
            "method": request.method,
            "uri": request.uri,
            "host": request.host,
            "body": self.body.decode("latin-1"),
            "remote_ip": request.remote_ip,
            "protocol": request.protocol,
            "x": request.headers.get_list("X"),
        }
        self.write(json.dumps(seen).encode())

    head = post = put = delete = patch = options = propfind = get


class Buffered(Base):
    """Not streamed: Tornado collects the body."""

    def post(self) -> None:
        self.write(self.request.body)


class Parts(Base):
    """Without a length, so that the engine must mark the end."""

    async def get(self) -> None:
        for part in (b"one", b"", b"two", b"three"):
            self.write(part)
            await self.flush()

    head = get


class Status(Base):
    def get(self, code: str) -> None:
        self.set_status(int(code))

    head = post = get


class Closing(Base):
    def get(self) -> None:
        self.set_header("Connection", "close")
        self.write(b"bye")


@stream_request_body
class Early(Base):
    """Answers before the body is read; `?close` says so to the client."""

    def prepare(self) -> None:
        self.set_status(413)
        if self.get_query_argument("close", None) is not None:
            self.set_header("Connection", "close")
        self.write(b"too large")
        _ = self.finish()

    def data_received(self, chunk: bytes) -> None:
        raise AssertionError(f"the answer was given before {chunk!r}")


class Slow(Base):
    """Answers when the gate is opened; `?begin` sends the head before."""

    async def get(self) -> None:
        if self.get_query_argument("begin", None) is not None:
            self.write(b"begun")
            await self.flush()
        self.witness.events.put("waiting")
        await self.witness.gate.wait()
        self.write(b"slow")

    async def post(self) -> None:
        await self.get()


@stream_request_body
class Preparing(Base):
    """Wants the body only when the gate is opened."""

    async def prepare(self) -> None:
        self.size = 0
        self.witness.events.put("preparing")
        await self.witness.gate.wait()

    def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)

    def post(self) -> None:
        self.write(str(self.size).encode())


@stream_request_body
class Sink(Base):
    """Takes each part of the body only when the gate is open."""

    def prepare(self) -> None:
        self.witness.events.put("began")

    async def data_received(self, chunk: bytes) -> None:
        self.witness.received += len(chunk)
        self.witness.events.put("received")
        await self.witness.gate.wait()

    def post(self) -> None:
        self.write(str(self.witness.received).encode())


class Firehose(Base):
    """Sends `?parts` of 64 KiB, as fast as they are taken."""

    async def get(self) -> None:
        try:
            for _ in range(int(self.get_query_argument("parts"))):
                self.write(PART)
                await self.flush()
                self.witness.written += len(PART)
        except StreamClosedError:
            self.witness.events.put("closed")
            raise


class Large(Base):
    """One answer of 4 MiB in one write; tells when the future of finish() is done."""

    def get(self) -> None:
        self.write(b"y" * 4 * 1024 * 1024)
        future = self.finish()
        self.witness.events.put("finished")
        future.add_done_callback(self._landed)

    def _landed(self, future: "asyncio.Future[None]") -> None:
        self.witness.events.put("failed" if future.exception() else "landed")


@stream_request_body
class Failing(Base):
    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        raise RuntimeError(f"a defect at {chunk!r}")

    def post(self) -> None:
        self.write(b"not reached")


class Short(Base):
    """Promises ten bytes and sends three."""

    async def get(self) -> None:
        self.set_header("Content-Length", "10")
        self.write(b"abc")
        await self.flush()


def make_application(witness: Witness) -> Application:
    """Return the application."""
    routes: dict[str, type[Base]] = {
        r"/probe": Probe,
        r"/echo.*|\*": Echo,
        r"/buffered": Buffered,
        r"/parts": Parts,
        r"/status/(\d+)": Status,
        r"/closing": Closing,
        r"/early": Early,
        r"/slow": Slow,
        r"/preparing": Preparing,
        r"/sink": Sink,
        r"/firehose": Firehose,
        r"/large": Large,
        r"/failing": Failing,
        r"/short": Short,
    }
    arguments: dict[str, Any] = {"witness": witness}
    return Application(
        [(path, handler, arguments) for path, handler in routes.items()],
        log_function=lambda _: None,
    )

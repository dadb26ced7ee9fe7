"""In charge of asking an admin listener, over TCP or a unix socket.

One request a connection; every answer is bounded in bytes and in seconds.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders, HTTPInputError, parse_response_start_line

ANSWER_LIMIT = 64 * 1024 * 1024


class Unreachable(Exception):
    """There was no answer; the sentence says why.

    `is_absent` tells that nobody listens there, or who did went away instead of answering.
    """

    def __init__(self, sentence: str, *, is_absent: bool = False) -> None:
        super().__init__(sentence)
        self.is_absent = is_absent


@dataclass(frozen=True, slots=True)
class Reply:
    """What an admin listener answered."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """Where an admin listener is: `http://host:port` or `unix:/path`."""

    url: str

    def __post_init__(self) -> None:
        """Raise ValueError for anything else."""
        with suppress(ValueError):  # no port can be so large, or no address has such brackets
            parts = urlsplit(self.url)
            if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
                return
            if parts.scheme == "http" and parts.hostname and parts.port and parts.path in {"", "/"}:
                return
        raise ValueError(
            f"{self.url!r} is no admin listener's address; use http://host:port or unix:/path."
        )

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection; raises OSError."""
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            return await asyncio.open_unix_connection(parts.path)
        return await asyncio.open_connection(parts.hostname, parts.port)

    @property
    def host(self) -> str:
        """The value of Host."""
        return urlsplit(self.url).netloc or "localhost"


async def ask(
    address: Address, method: str, path: str, body: bytes = b"", *, seconds: float
) -> Reply:
    """Send one request and return the answer; raises Unreachable, at the latest after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return await _ask(address, method, path, body)
    except TimeoutError:
        raise Unreachable(f"{address.url} did not answer within {seconds:g} s.") from None
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise Unreachable(f"Nobody listens at {address.url}.", is_absent=True) from error
    except OSError as error:
        is_absent = isinstance(error, ConnectionError)
        reason = error.strerror or error
        raise Unreachable(
            f"{address.url} cannot be reached ({reason}).", is_absent=is_absent
        ) from error
    except asyncio.IncompleteReadError as error:
        raise Unreachable(f"{address.url} hung up instead of answering.", is_absent=True) from error
    except (HTTPInputError, asyncio.LimitOverrunError) as error:
        raise Unreachable(f"What answers at {address.url} is no admin listener.") from error


async def _ask(address: Address, method: str, path: str, body: bytes) -> Reply:
    reader, writer = await address.connect()
    try:
        head = f"{method} {path} HTTP/1.1\r\nHost: {address.host}\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body)
        await writer.drain()
        start, _, fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").partition("\r\n")
        headers = HTTPHeaders.parse(fields)
        length = headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > ANSWER_LIMIT:
            raise HTTPInputError("no length")
        content = await reader.readexactly(int(length))
        status = parse_response_start_line(start).code
        return Reply(status, headers.get("Content-Type", ""), content)
    finally:
        writer.close()

"""In charge of clients that keep their connections, for as long as the service wants them to."""

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

HEAD = "POST /api/v1/lisas/{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"


class Crowd:
    """Clients that write items, each request taking `hold` seconds, until the context is left.

    A client that is told `Connection: close` goes to the next of `ports`, or again to the last one.
    Whatever else ends a request is a failure.
    """

    def __init__(self, ports: Sequence[int], clients: int, hold: float) -> None:
        self.answered: Counter[int] = Counter()
        """Answers by port."""
        self.failures: list[str] = []
        self._ports = ports
        self._clients = clients
        self._hold = hold
        self._is_over = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over = True
        self._thread.join()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._be_client(number))

    async def _be_client(self, number: int) -> None:
        await asyncio.sleep(self._hold * number / self._clients)  # spread evenly
        ports = list(self._ports)
        while not self._is_over:
            step = "connecting"
            writer = None
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", ports[0])
                is_wanted = True
                while is_wanted and not self._is_over:
                    step = "asking"
                    is_wanted = await self._ask(reader, writer, number)
                    self.answered[ports[0]] += 1
            except (OSError, EOFError, AssertionError) as error:
                self.failures.append(f"client {number} {step} {ports[0]}: {error!r}")
                await asyncio.sleep(0.1)
            finally:
                if writer is not None:
                    writer.close()
            if len(ports) > 1:
                ports.pop(0)

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        """Send a request; tell whether the connection may be used again."""
        writer.write(HEAD.format(number).encode() + b"sa")
        await asyncio.sleep(self._hold)
        writer.write(b"xy")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 204 "), head
        return b"connection: close" not in head.lower()

"""In charge of the places of a pool: how many calls may have one, and how many wait for one."""

import asyncio
from types import TracebackType


class Places:
    """So many places, given to who waits longest. The numbers may be read from any thread."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.in_use = 0
        self.waiting = 0
        self._free = asyncio.Semaphore(size)

    @property
    def are_taken(self) -> bool:
        """Whether who asks now has to wait."""
        return self._free.locked()

    async def take(self) -> None:
        """Take a place, as soon as there is one."""
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.in_use += 1

    def give_back(self) -> None:
        """Give a place back."""
        self.in_use -= 1
        self._free.release()

    async def __aenter__(self) -> None:
        await self.take()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_back()

"""In charge of reading in waves the names that concurrent requests read one by one.

Contract
    Who asks joins a wave that is not yet sent, so the answer reflects every write that was acknowledged
    before. A name that several ask for is read once. Who is alone asks the store himself, at once.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from springfield.errors import SpringfieldError, Unavailable
from springfield.model import Item, Name
from springfield.observability.trace_context import TraceContext, current
from springfield.resilience.deadline import deadline
from springfield.stores.coalescing.waves import BYTES, NAMES, Waves, act_for, own
from springfield.stores.store import Store

Found = Mapping[Name, Item | SpringfieldError]

_FADING = 0.9
"""What is left, after each wave, of the memory of large items."""


class _Reader(NamedTuple):
    """Somebody who waits for an item."""

    name: Name
    answer: "asyncio.Future[Found]"
    trace: TraceContext | None


class Reads(Waves[_Reader]):
    """The reads of one store. `label` is for people: "Redis (marges)"."""

    def __init__(self, store: Store, label: str) -> None:
        super().__init__()
        self._store = store
        self._label = label
        self._size = 1.0
        """Bytes that an item may have, as far as those before tell."""

    async def read(self, names: Collection[Name]) -> Found:
        """See Store, for one name. The caller's deadline holds."""
        if self.is_lone and not self.in_flight:
            self.in_flight += 1
            try:
                return await self._store.read(names)
            finally:
                self.come_back()
        loop, until = asyncio.get_running_loop(), deadline.get()
        answer: asyncio.Future[Found] = loop.create_future()
        timer = None
        if until is not None:
            if until <= loop.time():
                raise self._late()
            timer = loop.call_at(until, self._give_up, answer)
        (name,) = names
        self.ask(_Reader(name, answer, current.get()))
        if timer is None:
            return await answer
        try:
            return await answer
        finally:
            timer.cancel()

    def _take(self) -> Sequence[_Reader]:
        room = max(1, min(NAMES, int(BYTES / self._size)))
        wave: list[_Reader] = []
        names: set[Name] = set()
        while self.waiting and len(names) < room:
            reader = self.waiting.popleft()
            if not reader.answer.done():
                wave.append(reader)
                names.add(reader.name)
        return wave

    async def _carry(self, wave: Sequence[_Reader]) -> None:
        act_for([reader.trace for reader in wave])
        try:
            found = await self._store.read({reader.name for reader in wave})
        except asyncio.CancelledError:
            for _, answer, _ in wave:
                answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - raised by each caller
            for _, answer, _ in wave:
                if not answer.done():
                    answer.set_exception(own(error))
            return
        largest = self._size * _FADING
        for name, answer, _ in wave:
            item = found.get(name)
            if answer.done():
                continue
            if item is None:
                answer.set_result({})
            elif isinstance(item, Item):
                answer.set_result({name: item})
                largest = max(largest, len(item.content))
            else:
                answer.set_result({name: own(item)})
        self._size = max(largest, 1.0)

    def _give_up(self, answer: "asyncio.Future[Found]") -> None:
        if not answer.done():
            answer.set_exception(self._late())

    def _late(self) -> Unavailable:
        return Unavailable(
            f"{self._label} did not answer within the caller's deadline; nothing was done.",
            slow=True,
        )

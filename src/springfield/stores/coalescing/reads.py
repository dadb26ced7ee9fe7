"""In charge of reading in waves the names that concurrent requests read one by one.

Contract
    Who asks joins a wave that is not yet sent, so the answer reflects every write that was acknowledged
    before. A name that several ask for is read once. Who is alone asks the store himself, at once: a wave
    would take him two turns of the event loop more, 30 µs.

Cancellation
    Who is cancelled disturbs nobody. A wave that is carried for nobody any more is cancelled.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import cast

from springfield.errors import SpringfieldError, Unavailable
from springfield.model import Item, Name
from springfield.observability.trace_context import TraceContext, current
from springfield.resilience.deadline import deadline
from springfield.stores.coalescing.waves import BYTES, NAMES, Waves, act_for, own
from springfield.stores.store import Found, Store

_FADING = 0.9
"""What is left, after each wave, of the memory of large items."""


class _Reader(asyncio.Future[Found]):
    """Somebody who waits for an item. A future with a few attributes costs half of one beside a tuple."""

    __slots__ = ("name", "reads", "trace")

    name: Name
    reads: "Reads"
    trace: TraceContext | None

    def cancel(self, msg: object = None) -> bool:
        """See Future."""
        is_cancelled = super().cancel(msg)
        if is_cancelled:
            self.reads.leave()
        return is_cancelled


class Reads(Waves[_Reader]):
    """The reads of one store. `label` is for people: "Redis (marges)"."""

    def __init__(self, store: Store, label: str) -> None:
        super().__init__()
        self._store = store
        self._label = label
        self._carried: dict[asyncio.Task[None], Sequence[_Reader]] = {}
        self._size = 1.0
        """Bytes that an item may have, as far as those before tell."""

    @property
    def is_idle(self) -> bool:
        """Whether who comes now is alone, as the last one was."""
        return self.is_lone and not self.in_flight

    async def read_alone(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        """See Store, for one name. Who comes meanwhile has to wait for the end of it."""
        self.in_flight += 1
        try:
            return await self._store.read(names)
        finally:
            self.come_back()

    def read(self, name: Name) -> "asyncio.Future[Found]":
        """See Gathering. The future may be cancelled."""
        loop, until = asyncio.get_running_loop(), deadline.get()
        reader = _Reader(loop=loop)
        reader.name = name
        reader.reads = self
        reader.trace = current.get()
        if until is not None:
            if until <= loop.time():
                reader.set_exception(self._late())
                return reader
            timer = loop.call_at(until, self._give_up, reader)
            reader.add_done_callback(lambda _: timer.cancel())
        self.ask(reader)
        return reader

    def leave(self) -> None:
        """Take note that somebody does not wait any more: nothing is read for nobody."""
        carried = self._carried
        for task in [task for task, wave in carried.items() if all(map(_Reader.done, wave))]:
            del carried[task]  # once: a driver may wait for the end of what was cancelled
            task.cancel()

    def _take(self) -> Sequence[_Reader]:
        room = max(1, min(NAMES, int(BYTES / self._size)))
        wave: list[_Reader] = []
        names: set[Name] = set()
        while self.waiting and len(names) < room:
            reader = self.waiting.popleft()
            if not reader.done():
                wave.append(reader)
                names.add(reader.name)
        return wave

    async def _carry(self, wave: Sequence[_Reader]) -> None:
        act_for([reader.trace for reader in wave])
        try:
            found = await self._read(wave)
        except asyncio.CancelledError:
            for reader in wave:
                reader.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - raised by each caller
            for reader in wave:
                if not reader.done():
                    reader.set_exception(own(error))
            return
        largest = self._size * _FADING
        for reader in wave:
            if reader.done():
                continue
            item = found.get(reader.name)
            if isinstance(item, Item):
                largest = max(largest, len(item.content))
            reader.set_result(own(item) if isinstance(item, SpringfieldError) else item)
        self._size = max(largest, 1.0)

    async def _read(self, wave: Sequence[_Reader]) -> Mapping[Name, Item | SpringfieldError]:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._carried[task] = wave
        try:
            return await self._store.read({reader.name for reader in wave})
        finally:
            self._carried.pop(task, None)

    def _give_up(self, reader: _Reader) -> None:
        if not reader.done():
            reader.set_exception(self._late())
            self.leave()

    def _late(self) -> Unavailable:
        return Unavailable(
            f"{self._label} did not answer within the caller's deadline; nothing was done.",
            slow=True,
        )

"""In charge of writes, swaps and deletes: those of one name in the order in which they came.

Contract
    A name is in at most one change in flight; those behind wait for it, up to `LONGEST_WAIT` and the
    time of one more. Unconditional writes of different names travel in waves, and so do deletes; a swap
    goes by itself. A write of the very content that the last one in the line brings, which is not yet
    sent, is done with it.

Cancellation
    What nobody waits for any more is not sent. What was sent is not cancelled, and keeps its name until
    it has ended.

Rejected
    To send only the last of several different writes that wait: nobody would know whether the store
    would have refused the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Any

from springfield.errors import OutcomeUnknown, SpringfieldError, Unavailable
from springfield.model import Item, Name
from springfield.observability.trace_context import TraceContext, current
from springfield.resilience.deadline import deadline
from springfield.stores.coalescing.waves import BYTES, NAMES, Waves, act_for, ended, own
from springfield.stores.store import Store

LONGEST_WAIT = 5.0
"""Seconds in the line of a name, after which a change is not begun any more."""

Answer = asyncio.Future[Any]


class Change:
    """A write, swap or delete of one name."""

    __slots__ = ("answers", "behind", "came", "expected", "is_sent", "item", "name", "trace", "way")

    def __init__(
        self, way: "Waves[Change] | None", name: Name, item: Item | None, expected: Item | None
    ) -> None:
        self.way = way
        """The waves that it travels by; None is a swap."""
        self.name = name
        self.item = item
        self.expected = expected
        self.answers: list[Answer] = []
        """Those of all who wait for it."""
        self.trace: TraceContext | None = current.get()
        self.behind: Change | None = None
        """The next one of the same name."""
        self.came = 0.0
        """When it came to the line, by the loop's clock; 0 where it did not have to wait."""
        self.is_sent = False

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for it."""
        return any(not answer.done() for answer in self.answers)

    def succeed(self, result: object) -> None:
        """Give everybody the answer."""
        for answer in self.answers:
            if not answer.done():
                answer.set_result(own(result) if isinstance(result, SpringfieldError) else result)

    def fail(self, error: BaseException) -> None:
        """Give everybody an error of his own."""
        for answer in self.answers:
            if answer.done():
                continue
            if isinstance(error, Exception):
                answer.set_exception(own(error))
            else:
                answer.cancel()


_Asked = list[tuple[Change, Answer]]


class Changes:
    """The changes of one store. `label` is for people: "Redis (marges)"."""

    def __init__(self, store: Store, label: str) -> None:
        self._store = store
        self._label = label
        self._last: dict[Name, Change] = {}
        """The last in the line of each name that has one, which may be in flight."""
        self.writes = ChangeWaves(self._write, self._done)
        self.deletes = ChangeWaves(self._delete, self._done)
        self._swaps: set[asyncio.Task[None]] = set()

    def one(
        self,
        way: Waves[Change] | None,
        name: Name,
        item: Item | None,
        expected: Item | None = None,
    ) -> Answer:
        """Return the future of its outcome, which raises what is wrong with the store."""
        asked, timer = self._ask([Change(way, name, item, expected)])
        ((_, answer),) = asked
        if timer is not None:
            answer.add_done_callback(lambda _: timer.cancel())
        return answer

    async def many(self, changes: Sequence[Change]) -> list[Any]:
        """Do them and return an outcome each; raise what is wrong with the store for all of them."""
        asked, timer = self._ask(changes)
        answers = [answer for _, answer in asked]
        try:
            outcomes = await asyncio.gather(*answers, return_exceptions=True)
        finally:
            if timer is not None:
                timer.cancel()
        errors = [answer.exception() for answer in answers]
        for error in errors:
            if error is not None and (all(errors) or not isinstance(error, SpringfieldError)):
                raise error
        return outcomes

    async def close(self, timeout: float) -> None:
        """Wait for what is in flight, for `timeout` seconds at most; cancel what is left."""
        ways = self.writes.close(timeout), self.deletes.close(timeout)
        await asyncio.gather(*ways, ended(self._swaps, timeout))

    def _ask(self, changes: Sequence[Change]) -> tuple[_Asked, asyncio.TimerHandle | None]:
        """Put all in their lines; return also the timer of the caller's deadline, if he has one."""
        loop, until = asyncio.get_running_loop(), deadline.get()
        if until is not None and until <= loop.time():
            raise self._not_done("the caller's deadline")
        asked = [self._enqueue(change) for change in changes]
        return asked, None if until is None else loop.call_at(until, self._give_up, asked)

    def _enqueue(self, change: Change) -> tuple[Change, Answer]:
        """Put it in the line of its name, or find the one that it is done with."""
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        last = self._last.get(change.name)
        if last is not None and _is_same(last, change):
            last.answers.append(answer)
            return last, answer
        change.answers.append(answer)
        self._last[change.name] = change
        if last is None:
            self._begin(change)
        else:
            change.came = loop.time()
            last.behind = change
        return change, answer

    def _begin(self, change: Change) -> None:
        if change.way is not None:
            change.way.ask(change)
            return
        change.is_sent = True
        task = asyncio.create_task(self._swap(change), context=Context())
        self._swaps.add(task)
        task.add_done_callback(self._swaps.discard)

    def _done(self, change: Change) -> None:
        """Let the next one of its name begin."""
        behind = change.behind
        if behind is not None:
            latest = asyncio.get_running_loop().time() - LONGEST_WAIT
            while behind is not None and (behind.came < latest or not behind.is_wanted):
                behind.fail(self._not_done(f"{LONGEST_WAIT:g} s: others change this name"))
                behind = behind.behind
        if behind is None:
            del self._last[change.name]
        else:
            self._begin(behind)

    async def _write(self, wave: Sequence[Change]) -> Sequence[object]:
        items = {change.name: change.item for change in wave if change.item is not None}
        outcomes = await self._store.write(items)
        return [outcomes[change.name] for change in wave]

    async def _delete(self, wave: Sequence[Change]) -> Sequence[object]:
        refused = await self._store.delete([change.name for change in wave])
        return [refused.get(change.name) for change in wave]

    async def _swap(self, change: Change) -> None:
        act_for([change.trace])
        try:
            change.succeed(await self._store.swap(change.name, change.expected, change.item))
        except BaseException as error:
            change.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._done(change)

    def _give_up(self, asked: _Asked) -> None:
        for change, answer in asked:
            if answer.done():
                continue
            if change.is_sent:
                answer.set_exception(
                    OutcomeUnknown(
                        f"{self._label} did not confirm the write within the caller's deadline; it may "
                        "have happened or may happen yet.",
                        slow=True,
                    )
                )
            else:
                answer.set_exception(self._not_done("the caller's deadline"))

    def _not_done(self, time: str) -> Unavailable:
        return Unavailable(
            f"{self._label} was not asked to write within {time}; nothing was done.", slow=True
        )


class ChangeWaves(Waves[Change]):
    """Waves of changes of one kind. `send` returns an outcome each; `done` is told of each."""

    def __init__(
        self,
        send: Callable[[Sequence[Change]], Awaitable[Sequence[object]]],
        done: Callable[[Change], None],
    ) -> None:
        super().__init__()
        self._send = send
        self._done = done

    def _take(self) -> Sequence[Change]:
        wave: list[Change] = []
        size = 0
        while self.waiting and len(wave) < NAMES:
            change = self.waiting[0]
            if not change.is_wanted:
                self.waiting.popleft()
                self._done(change)
                continue
            size += 0 if change.item is None else len(change.item.content)
            if wave and size > BYTES:
                break
            change.is_sent = True
            wave.append(self.waiting.popleft())
        return wave

    async def _carry(self, wave: Sequence[Change]) -> None:
        act_for([change.trace for change in wave])
        try:
            outcomes = await self._send(wave)
            for change, outcome in zip(wave, outcomes, strict=True):
                change.succeed(outcome)
        except BaseException as error:
            for change in wave:
                change.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            for change in wave:
                self._done(change)


def _is_same(last: Change, change: Change) -> bool:
    """Tell whether one write, or one delete, does for both."""
    return (
        change.way is not None
        and last.way is change.way
        and not last.is_sent
        and last.item == change.item
    )

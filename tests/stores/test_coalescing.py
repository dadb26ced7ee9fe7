"""Calls of concurrent requests travel together, in order, each with its own answer, time and end."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar, cast

import pytest

from springfield.errors import NotStorable, OutcomeUnknown, SpringfieldError, Unavailable
from springfield.model import Item, Name
from springfield.observability.trace_context import (
    TraceContext,
    current,
    sharing,
    trace_context_of,
)
from springfield.resilience.deadline import deadline
from springfield.stores.coalesced import Coalesced
from springfield.stores.coalescing import changes, waves
from springfield.stores.store import Adapter, Outcome, Swapped
from tests.stores.eventually import eventually

T = TypeVar("T")


class Slow:
    """A store that answers when it is told to, and notes what it is asked."""

    verbatim = True

    def __init__(self) -> None:
        self.items: dict[Name, Item] = {}
        self.asked: list[tuple[str, list[str]]] = []
        self.cancelled: list[tuple[str, list[str]]] = []
        self.ended: list[tuple[str, list[str]]] = []
        """Those that were cancelled and had the time to end."""
        self.failure: Exception | None = None
        self.gates: list[asyncio.Event] | None = None
        """One for each call, where each is to wait by itself."""
        self.open_gate = asyncio.Event()
        self.open_gate.set()

    async def _ask(self, verb: str, names: Collection[Name]) -> None:
        self.asked.append((verb, sorted(names)))
        try:
            await asyncio.sleep(0)
            if self.gates is not None:
                self.gates.append(asyncio.Event())
                await self.gates[-1].wait()
            await self.open_gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append((verb, sorted(names)))
            if self.gates is not None:  # as a driver whose call must not be cut in the middle
                self.gates.append(asyncio.Event())
                await self.gates[-1].wait()
                self.ended.append((verb, sorted(names)))
            raise
        if self.failure is not None:
            raise self.failure

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item | SpringfieldError]:
        found = {name: self.items[name] for name in names if name in self.items}
        await self._ask("read", names)
        return {n: TOO_LONG if i.content == b"too long" else i for n, i in found.items()}

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, Outcome]:
        await self._ask("write", items)
        self.items |= items
        return {
            name: NotStorable("too long") if item.content == b"too long" else item.content.decode()
            for name, item in items.items()
        }

    async def swap(self, name: Name, expected: Item | None, new: Item | None) -> Swapped | None:
        await self._ask("swap", [name])
        if self.items.get(name) != expected:
            return None
        assert new is not None
        self.items[name] = new
        return Swapped(new.content.decode())

    async def delete(self, names: Collection[Name]) -> Mapping[Name, SpringfieldError]:
        await self._ask("delete", names)
        for name in names:
            self.items.pop(name, None)
        return {}


TOO_LONG = NotStorable("too long")


@pytest.fixture
async def slow() -> Slow:
    return Slow()


@pytest.fixture
def store(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> Coalesced:
    monkeypatch.setattr(waves, "PATIENCE", 60)  # however slow this machine is
    return Coalesced(cast("Adapter", slow), "Slow (things)")


def read(store: Coalesced, name: str) -> "asyncio.Task[Mapping[Name, Item | SpringfieldError]]":
    return asyncio.create_task(store.read([Name(name)]))


def write(store: Coalesced, name: str, text: str) -> "asyncio.Task[Mapping[Name, Outcome]]":
    return asyncio.create_task(store.write({Name(name): Item(text.encode())}))


def delete(store: Coalesced, name: str) -> "asyncio.Task[Mapping[Name, SpringfieldError]]":
    return asyncio.create_task(store.delete([Name(name)]))


async def turns(count: int = 5) -> None:
    """Let the event loop turn, and nothing that takes time happen."""
    for _ in range(count):
        await asyncio.sleep(0)


def names_of(number: int) -> list[str]:
    return [f"n{each:04}" for each in range(number)]


# Batches.


async def test_a_lone_call_goes_at_once_and_by_itself(slow: Slow, store: Coalesced) -> None:
    slow.open_gate.clear()
    calls = [read(store, "a"), write(store, "b", "x"), delete(store, "c")]
    await turns(2)
    assert sorted(slow.asked) == [("delete", ["c"]), ("read", ["a"]), ("write", ["b"])]
    slow.open_gate.set()
    await asyncio.gather(*calls)


async def test_what_arrives_while_a_call_is_in_flight_travels_together(
    slow: Slow, store: Coalesced
) -> None:
    slow.items = {Name(name): Item(name.encode()) for name in names_of(50)}
    slow.open_gate.clear()
    calls = [read(store, "first")]
    await turns()
    calls += [read(store, name) for name in [*names_of(50), "n0007", "nobody"]]
    calls_to_write = [write(store, f"w{name}", name) for name in names_of(50)]
    await turns()
    calls_to_delete = [delete(store, f"d{name}") for name in ["first", *names_of(50)]]
    slow.open_gate.set()
    found = await asyncio.gather(*calls)
    await asyncio.gather(*calls_to_write, *calls_to_delete)
    asked = {verb: [names for each, names in slow.asked if each == verb] for verb, _ in slow.asked}
    assert asked == {
        "read": [["first"], [*names_of(50), "nobody"]],
        "write": [[f"w{name}" for name in names_of(50)]],
        "delete": [["dfirst", *(f"d{name}" for name in names_of(50))]],
    }
    assert [dict(each) for each in found[1:51]] == [
        {Name(name): Item(name.encode())} for name in names_of(50)
    ]
    assert found[51] == found[8]
    assert found[0] == found[52] == {}


async def test_when_many_read_those_of_one_turn_are_one_call(slow: Slow, store: Coalesced) -> None:
    await asyncio.gather(*(read(store, name) for name in names_of(10)))
    slow.asked.clear()
    await asyncio.gather(*(read(store, name) for name in names_of(100)))
    assert slow.asked == [("read", names_of(100))]


async def test_a_wave_is_bounded_by_names_and_by_bytes(slow: Slow, store: Coalesced) -> None:
    slow.open_gate.clear()
    calls = [write(store, name, "x") for name in names_of(600)]
    await turns()  # none waits for another
    slow.open_gate.set()
    assert len(slow.asked) == 3
    await asyncio.gather(*calls)
    assert [len(names) for _, names in slow.asked] == [256, 256, 88]
    slow.asked.clear()
    big = "x" * (waves.BYTES // 4)
    await asyncio.gather(*(write(store, name, big) for name in names_of(6)))
    assert [len(names) for _, names in slow.asked] == [4, 2]
    await asyncio.gather(*(read(store, name) for name in names_of(6)))
    slow.asked.clear()
    await asyncio.gather(*(read(store, name) for name in names_of(6)))
    assert [len(names) for _, names in slow.asked] == [4, 2]


async def test_a_store_that_hangs_gets_a_bounded_number_of_waves(
    slow: Slow, store: Coalesced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waves, "PATIENCE", 0.0001)
    slow.open_gate.clear()
    calls: list[asyncio.Task[object]] = []
    while len(slow.asked) < waves.LIMIT:
        calls.append(cast("asyncio.Task[object]", read(store, f"n{len(calls)}")))
        await asyncio.sleep(0.002)
    late = [read(store, f"late{each}") for each in range(300)]
    await asyncio.sleep(0.1)
    assert len(slow.asked) == waves.LIMIT
    slow.open_gate.set()
    await asyncio.gather(*calls, *late)
    assert sum(len(names) for _, names in slow.asked) == len(calls) + len(late)


async def test_at_the_bound_the_next_wave_goes_when_any_is_back(
    slow: Slow, store: Coalesced, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow.gates = []
    monkeypatch.setattr(waves, "PATIENCE", 0.0001)
    calls: list[asyncio.Task[Mapping[Name, Item | SpringfieldError]]] = []
    while len(slow.asked) < waves.LIMIT:
        calls.append(read(store, f"n{len(calls)}"))
        await asyncio.sleep(0.002)
    monkeypatch.setattr(waves, "PATIENCE", 60)
    late = [read(store, name) for name in ("a", "b")]
    await turns()
    slow.gates[3].set()
    await turns()
    assert slow.asked[waves.LIMIT :] == [("read", ["a", "b"])]
    for gate in slow.gates:
        gate.set()
    await asyncio.gather(*calls, *late)


async def test_a_quick_store_gets_its_waves_one_by_one(
    slow: Slow, store: Coalesced, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow.gates = []
    monkeypatch.setattr(waves, "PATIENCE", 0.0001)
    calls = [read(store, "a")]
    await turns()
    calls.append(read(store, "b"))
    await eventually(lambda: len(slow.asked) == 2)
    monkeypatch.setattr(waves, "PATIENCE", 60)
    calls += [read(store, "c"), read(store, "d")]
    await turns()
    slow.gates[0].set()
    await turns()
    assert len(slow.asked) == 2
    slow.gates[1].set()
    await turns()
    assert slow.asked[2:] == [("read", ["c", "d"])]
    slow.gates[2].set()
    await asyncio.gather(*calls)


async def test_several_names_in_one_call_are_told_apart(slow: Slow, store: Coalesced) -> None:
    items = {Name("good"): Item(b"fine"), Name("bad"): Item(b"too long")}
    outcomes = await store.write(items)
    assert outcomes[Name("good")] == "fine"
    assert isinstance(outcomes[Name("bad")], NotStorable)
    slow.failure = Unavailable("away")
    with pytest.raises(Unavailable, match="away"):
        await store.write(items)
    with pytest.raises(Unavailable, match="away"):
        await store.delete([Name("good"), Name("bad")])


# Order.


async def test_a_read_that_begins_after_a_write_was_acknowledged_sees_it(
    slow: Slow, store: Coalesced
) -> None:
    slow.open_gate.clear()
    before = [read(store, name) for name in ("a", "b")]
    await turns()
    slow.open_gate.set()
    await write(store, "a", "new")
    assert await store.read([Name("a")]) == {Name("a"): Item(b"new")}
    await asyncio.gather(*before)


async def test_changes_of_one_name_are_made_one_by_one_in_their_order(
    slow: Slow, store: Coalesced
) -> None:
    slow.open_gate.clear()
    name = Name("a")
    calls: list[asyncio.Task[object]] = [
        cast("asyncio.Task[object]", each)
        for each in (
            write(store, "a", "1"),
            asyncio.create_task(store.swap(name, Item(b"1"), Item(b"2"))),
            write(store, "a", "3"),
            delete(store, "a"),
            asyncio.create_task(store.swap(name, Item(b"3"), Item(b"4"))),
            write(store, "a", "5"),
            write(store, "other", "x"),
        )
    ]
    await asyncio.sleep(0.05)
    assert slow.asked == [("write", ["a", "other"])]
    slow.open_gate.set()
    outcomes = await asyncio.gather(*calls)
    assert [verb for verb, _ in slow.asked] == ["write", "swap", "write", "delete", "swap", "write"]
    assert outcomes == [
        *({"a": "1"}, Swapped("2"), {"a": "3"}, {}, None, {"a": "5"}, {"other": "x"}),
    ]
    assert slow.items[name] == Item(b"5")
    assert store._changes._last == {}


async def test_equal_writes_that_wait_are_one_and_different_ones_are_not(
    slow: Slow, store: Coalesced
) -> None:
    slow.open_gate.clear()
    calls = [write(store, "a", "x")]
    await turns()
    calls += [write(store, "a", text) for text in ("x", "x", "x", "y", "x")]
    await turns()
    calls[2].cancel()
    slow.open_gate.set()
    await asyncio.gather(*calls, return_exceptions=True)
    assert len(slow.asked) == 4
    assert [call.result()[Name("a")] for call in calls if not call.cancelled()] == [
        *("x", "x", "x", "y", "x"),
    ]


async def test_a_change_does_not_wait_for_ever_in_the_line_of_its_name(
    slow: Slow, store: Coalesced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "LONGEST_WAIT", 0.0)
    slow.open_gate.clear()
    first = write(store, "a", "1")
    await turns()
    late = [write(store, "a", "2"), delete(store, "a")]
    await asyncio.sleep(0.01)
    slow.open_gate.set()
    assert await first == {"a": "1"}
    for each in late:
        with pytest.raises(Unavailable, match="others change this name") as error:
            await each
        assert error.value.slow
    assert slow.asked == [("write", ["a"])]
    assert store._changes._last == {}


# Each its own answer.


async def test_what_is_wrong_with_one_name_is_its_callers_alone(
    slow: Slow, store: Coalesced
) -> None:
    good, bad = await asyncio.gather(write(store, "good", "x"), write(store, "bad", "too long"))
    assert len(slow.asked) == 1
    assert good == {"good": "x"}
    assert isinstance(bad[Name("bad")], NotStorable)
    calls = [read(store, "first"), *(read(store, name) for name in ("good", "bad", "bad"))]
    _, found, one, other = await asyncio.gather(*calls)
    assert found == {"good": Item(b"x")}
    assert isinstance(one[Name("bad")], NotStorable)
    assert one[Name("bad")] is not other[Name("bad")]


@pytest.mark.parametrize("call", [read, lambda store, name: write(store, name, name), delete])
async def test_what_is_wrong_with_the_store_is_told_to_each_as_an_error_of_its_own(
    slow: Slow, store: Coalesced, call: Callable[[Coalesced, str], "asyncio.Task[object]"]
) -> None:
    slow.failure = Unavailable("away", retry_after=7)
    slow.failure.__cause__ = OSError("no route")
    calls = [call(store, name) for name in names_of(20)]
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert len(slow.asked) <= 2
    assert len({id(error) for error in errors}) == 20
    for error in errors:
        assert isinstance(error, Unavailable)
        assert (str(error), error.retry_after, error.__cause__) == (
            *("away", 7, slow.failure.__cause__),
        )
    slow.failure = None
    await call(store, "n0000")


# Cancellation.


async def test_who_is_cancelled_disturbs_nobody(slow: Slow, store: Coalesced) -> None:
    slow.items = {Name(name): Item(name.encode()) for name in names_of(20)}
    slow.open_gate.clear()
    calls = [read(store, "n0000")]
    await turns()
    calls += [read(store, name) for name in names_of(20)[1:]]
    await turns()
    for call in [*calls[:1], *calls[5:10]]:
        call.cancel()
    await turns()
    assert slow.asked[1] == ("read", [*names_of(5)[1:], *names_of(20)[10:]])
    for call in calls[10:15]:
        call.cancel()
    slow.open_gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    for number, (name, result) in enumerate(zip(names_of(20), results, strict=True)):
        if number == 0 or 5 <= number < 15:
            assert isinstance(result, asyncio.CancelledError)
        else:
            assert result == {name: Item(name.encode())}


async def test_what_is_read_for_nobody_any_more_is_cancelled(slow: Slow, store: Coalesced) -> None:
    slow.gates = []
    alone, first, second = read(store, "alone"), read(store, "a"), read(store, "b")
    await turns()
    slow.gates[0].set()
    await turns()
    assert slow.asked == [("read", ["alone"]), ("read", ["a", "b"])]
    first.cancel()
    await turns()
    assert slow.cancelled == []
    second.cancel()
    await turns()
    assert slow.cancelled == [("read", ["a", "b"])]
    third = read(store, "c")
    await turns()
    third.cancel()  # the wave before is cancelled once, and ends in its time
    await turns()
    slow.gates[2].set()
    await turns()
    assert slow.ended == slow.cancelled[:1]
    slow.gates = None
    assert await alone == await read(store, "d") == {}


async def test_a_lone_read_that_is_cancelled_is_given_up(slow: Slow, store: Coalesced) -> None:
    slow.open_gate.clear()
    call = read(store, "a")
    await turns()
    call.cancel()
    await turns()
    assert slow.cancelled == [("read", ["a"])]
    slow.open_gate.set()
    assert await read(store, "b") == {}


async def test_what_nobody_has_time_for_any_more_is_cancelled(slow: Slow, store: Coalesced) -> None:
    slow.gates = []
    alone = read(store, "alone")
    await turns()
    deadline.set(asyncio.get_running_loop().time() + 0.2)
    call = read(store, "a")
    await turns()
    slow.gates[0].set()
    await alone
    with pytest.raises(Unavailable, match="deadline"):
        await call
    await turns()
    assert slow.cancelled == slow.asked[1:]  # on a machine that sleeps for so long nothing was


async def test_a_write_that_was_sent_is_not_cancelled_and_one_that_was_not_is_not_sent(
    slow: Slow, store: Coalesced
) -> None:
    slow.open_gate.clear()
    sent = [write(store, "a", "sent"), write(store, "b", "sent")]
    swapped = asyncio.create_task(store.swap(Name("c"), None, Item(b"sent")))
    await turns()
    unsent = [write(store, "a", "unsent"), write(store, "d", "unsent"), delete(store, "b")]
    await turns()
    unsent_swap = asyncio.create_task(store.swap(Name("a"), Item(b"sent"), Item(b"unsent")))
    await turns()
    for call in (sent[0], swapped, unsent_swap, *unsent):
        call.cancel()
    await turns()
    slow.open_gate.set()
    assert await sent[1] == {"b": "sent"}
    await store.close(5)
    assert slow.items == {Name(name): Item(b"sent") for name in "abc"}
    assert store._changes._last == {}


async def test_closing_waits_for_what_was_sent_but_not_for_ever(
    slow: Slow, store: Coalesced
) -> None:
    slow.open_gate.clear()
    call = write(store, "a", "x")
    await turns()
    await store.close(0.01)
    with pytest.raises(asyncio.CancelledError):
        await call
    assert slow.items == {}


# Deadlines.


def in_time(seconds: float, call: Callable[[], "asyncio.Task[T]"]) -> "asyncio.Task[T]":
    """Make a call whose caller waits so long."""
    token = deadline.set(asyncio.get_running_loop().time() + seconds)
    try:
        return call()
    finally:
        deadline.reset(token)


async def test_each_caller_keeps_its_own_deadline(slow: Slow, store: Coalesced) -> None:
    slow.open_gate.clear()
    patient = [write(store, "a", "1"), write(store, "b", "1")]
    sent = in_time(0.05, lambda: write(store, "c", "1"))
    first = read(store, "x")
    await turns()
    hasty = in_time(0.05, lambda: read(store, "y"))
    unsent = in_time(0.05, lambda: write(store, "a", "2"))
    swap = in_time(0.05, lambda: asyncio.create_task(store.swap(Name("d"), None, Item(b"1"))))
    waiting = read(store, "y")
    for call, kind in (
        *((sent, OutcomeUnknown), (swap, OutcomeUnknown)),
        *((hasty, Unavailable), (unsent, Unavailable)),
    ):
        with pytest.raises(kind, match="within the caller's deadline") as error:
            await cast("asyncio.Task[object]", call)
        assert error.value.slow
    assert not any(call.done() for call in (*patient, first, waiting))
    slow.open_gate.set()
    assert await asyncio.gather(*patient) == [{"a": "1"}, {"b": "1"}]
    assert await waiting == {}
    await store.close(5)
    assert slow.items[Name("a")] == Item(b"1")


async def test_who_is_late_already_asks_for_nothing(slow: Slow, store: Coalesced) -> None:
    await asyncio.gather(*(read(store, "first") for _ in range(9)))  # now they are gathered
    await asyncio.gather(*(read(store, "first") for _ in range(9)))
    slow.asked.clear()
    late = [
        in_time(-1, lambda: read(store, "a")),
        in_time(-1, lambda: write(store, "a", "x")),
        in_time(-1, lambda: delete(store, "a")),
    ]
    for call in late:
        with pytest.raises(Unavailable, match="nothing was done"):
            await cast("asyncio.Task[object]", call)
    assert slow.asked == []


async def test_a_wave_has_no_callers_deadline() -> None:
    seen: list[float | None] = []

    class Noting(Slow):
        async def _ask(self, verb: str, names: Collection[Name]) -> None:
            seen.append(deadline.get())
            await super()._ask(verb, names)

    store = Coalesced(cast("Adapter", Noting()), "Slow")
    await asyncio.gather(*(in_time(5, lambda: write(store, "a", "x")) for _ in range(3)))
    await in_time(5, lambda: asyncio.create_task(store.swap(Name("b"), None, Item(b"x"))))
    assert seen == [None, None]


# Traces.


async def test_a_wave_is_done_for_all_the_requests_that_are_recorded(store: Coalesced) -> None:
    seen: list[tuple[TraceContext | None, Sequence[TraceContext]]] = []

    class Noting(Slow):
        async def _ask(self, verb: str, names: Collection[Name]) -> None:
            seen.append((current.get(), sharing.get()))
            await super()._ask(verb, names)

    store = Coalesced(cast("Adapter", Noting()), "Slow")
    traces = [trace_context_of("")._replace(is_sampled=each != 1) for each in range(4)]

    async def write_for(trace: TraceContext) -> None:
        current.set(trace)
        await store.write({Name(trace.span_id): Item(b"x")})

    await asyncio.gather(*(asyncio.create_task(write_for(trace)) for trace in traces[1:]))
    await asyncio.create_task(write_for(traces[0]))
    await asyncio.create_task(write_for(traces[1]))
    current.set(traces[0])
    await store.swap(Name("swapped"), None, Item(b"x"))
    assert seen == [
        *((traces[2], [traces[3]]), (traces[0], []), (traces[1], []), (traces[0], [])),
    ]

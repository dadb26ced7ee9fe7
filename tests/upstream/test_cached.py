"""One flight for all, and how old an answer may be; by events and counts, never by luck."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest

from springfield.errors import UpstreamFailed, UpstreamTooSlow
from springfield.observability.trace_context import current, trace_context_of
from springfield.upstream import cached as module
from springfield.upstream.cached import Cached, open_cached
from springfield.upstream.weather import Condition
from springfield.web.handlers.maggie import cache_status

deadline: ContextVar[str] = ContextVar("deadline", default="none")


class Upstream:
    """Counts its calls, and holds an answer back while its gate is closed."""

    def __init__(self) -> None:
        self.calls = 0
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self) -> int:
        self.calls += 1
        call = self.calls
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return call


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def cached(upstream: Upstream) -> AsyncIterator[Cached[int]]:
    async with open_cached(upstream.ask, 60, 600) as cached:
        yield cached


@pytest.mark.parametrize("lifetime", [0, 60])
async def test_a_thousand_simultaneous_cold_callers_make_one_call(
    upstream: Upstream, lifetime: float
) -> None:
    async with open_cached(upstream.ask, lifetime, 0) as cached:
        readings = await asyncio.gather(*(cached.get() for _ in range(1000)))
    assert upstream.calls == 1
    assert {(reading.value, reading.forwarded) for reading in readings} == {(1, "miss")}


async def test_if_the_flight_fails_everybody_gets_the_error(
    upstream: Upstream, cached: Cached[int]
) -> None:
    upstream.failure = UpstreamFailed("No.")
    outcomes = await asyncio.gather(*(cached.get() for _ in range(1000)), return_exceptions=True)
    assert upstream.calls == 1
    assert {str(outcome) for outcome in outcomes} == {"No."}


async def test_a_defect_is_told_to_all_and_never_hidden_by_an_old_answer(
    upstream: Upstream, cached: Cached[int], clock: Clock
) -> None:
    await cached.get()
    clock.now += 61
    upstream.failure = ZeroDivisionError()
    outcomes = await asyncio.gather(*(cached.get() for _ in range(3)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ZeroDivisionError}


async def test_a_first_caller_that_is_cancelled_disturbs_nobody(
    upstream: Upstream, cached: Cached[int]
) -> None:
    upstream.gate.clear()
    first, second, third = (asyncio.create_task(cached.get()) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await cached.get()
    upstream.gate.set()
    assert ((await second).value, (await third).value, upstream.calls) == (1, 1, 1)
    assert first.cancelled()


async def test_a_caller_with_a_nearer_deadline_gets_the_old_answer_or_none_and_disturbs_nobody(
    upstream: Upstream, cached: Cached[int], clock: Clock
) -> None:
    upstream.gate.clear()
    patient = asyncio.create_task(cached.get())
    with pytest.raises(UpstreamTooSlow):
        await cached.get(timeout=0.001)
    upstream.gate.set()
    assert (await patient).value == 1
    clock.now += 61
    upstream.gate.clear()
    patient = asyncio.create_task(cached.get())
    assert (await cached.get(timeout=0.001)).value == 1
    upstream.gate.set()
    assert (await patient).value == 2
    assert upstream.calls == 2


async def test_an_answer_that_nobody_waits_for_any_more_is_kept(
    upstream: Upstream, cached: Cached[int]
) -> None:
    upstream.gate.clear()
    only = asyncio.create_task(cached.get())
    await asyncio.sleep(0)
    only.cancel()
    upstream.gate.set()
    await asyncio.wait({only})
    assert (await cached.get()).value == 1
    assert upstream.calls == 1


async def test_a_flight_keeps_the_trace_of_its_first_caller_and_nothing_else_of_it() -> None:
    async def ask() -> tuple[object, str]:
        return current.get(), deadline.get()

    trace = trace_context_of("")
    current.set(trace)
    deadline.set("soon")
    async with open_cached(ask, 60, 0) as cached:
        assert (await cached.get()).value == (trace, "none")


async def test_an_answer_is_fresh_for_its_lifetime_and_tells_its_age(
    upstream: Upstream, cached: Cached[int], clock: Clock
) -> None:
    await cached.get()
    clock.now += 59
    reading = await cached.get()
    assert (reading.value, reading.age, reading.time_to_live) == (1, 59, 1)
    clock.now += 1
    reading = await cached.get()
    assert (reading.value, reading.forwarded, upstream.calls) == (2, "stale", 2)
    assert (await cached.get()).age == 0


async def test_when_the_upstream_fails_the_old_answer_is_given_until_its_limit(
    upstream: Upstream, cached: Cached[int], clock: Clock
) -> None:
    await cached.get()
    upstream.failure = UpstreamFailed("No.")
    clock.now += 61
    reading = await cached.get()
    assert (reading.value, reading.age, reading.time_to_live) == (1, 61, -1)
    clock.now += 599
    assert (await cached.get()).age == 660
    clock.now += 1
    with pytest.raises(UpstreamFailed):
        await cached.get()
    upstream.failure = None
    clock.now += 1
    assert (await cached.get()).forwarded == "miss"


async def test_while_it_is_down_the_upstream_is_asked_once_a_second(
    upstream: Upstream, cached: Cached[int], clock: Clock
) -> None:
    upstream.failure = UpstreamFailed("No.")
    for second in range(5):
        for _ in range(64):
            with pytest.raises(UpstreamFailed):
                await cached.get()
            clock.now += 1 / 128  # exact: no sum of them is a hair off
        assert upstream.calls == second + 1
        clock.now += 0.5
    upstream.failure = None
    assert (await cached.get()).value == 6


async def test_with_an_old_answer_nobody_waits_long_for_an_upstream_that_failed(
    upstream: Upstream, cached: Cached[int], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.001)
    await cached.get()
    clock.now += 61
    upstream.failure = UpstreamFailed("No.")
    await cached.get()
    clock.now += 1
    upstream.gate.clear()
    for _ in range(3):
        assert (await cached.get()).value == 1  # the gate is closed: it did not wait for it
    assert upstream.calls == 3
    upstream.failure = None
    upstream.gate.set()
    await asyncio.sleep(0.01)
    assert (await cached.get()).value == 3
    assert upstream.calls == 3


async def test_closing_ends_the_flight(upstream: Upstream) -> None:
    upstream.gate.clear()
    async with open_cached(upstream.ask, 60, 0) as cached:
        caller = asyncio.create_task(cached.get())
        await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task.get_name() == "upstream refresh"] == []
    await asyncio.wait({caller})


async def test_the_marker_says_how_old_and_why() -> None:
    sky = Condition(52, "Cloudy")
    assert cache_status(module.Reading(sky, 0, 60, "miss")) == "springfield; fwd=miss"
    assert cache_status(module.Reading(sky, 17.2, 42.8)) == "springfield; hit; ttl=42"
    stale = cache_status(module.Reading(sky, 60.1, -0.1))
    assert stale == "springfield; hit; ttl=-1; detail=stale-if-error"

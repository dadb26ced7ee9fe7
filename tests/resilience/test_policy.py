"""The order of the policies, and what each call comes to."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from springfield.errors import (
    Misconfigured,
    Missing,
    OutcomeUnknown,
    SpringfieldError,
    Unavailable,
)
from springfield.observability.events import BreakerChanged, CallRejected, CallRetried, Events
from springfield.resilience import retry
from springfield.resilience.breaker import UNBROKEN, State
from springfield.resilience.budget import SAVED, Budget
from springfield.resilience.deadline import deadline
from springfield.resilience.policy import Limits, Operation, Policy, Progress

READ, WRITE = Operation("read"), Operation("write", is_write=True)
UPLOAD = Operation("write", is_write=True, is_stream=True)
LIMITS = Limits(
    attempt_timeout=5,
    call_timeout=10,
    attempts=3,
    retry_budget=1,
    breaker_failures=1000,
    breaker_cooldown=60,
    concurrency=2,
    queue_limit=1000,
    queue_timeout=5,
)


class Bench:
    """A policy, and what it told."""

    def __init__(self, **limits: Any) -> None:
        self.attempts: list[tuple[str, int, BaseException | None]] = []
        self.told: list[Any] = []
        events = Events()
        for kind in (BreakerChanged, CallRejected, CallRetried):
            events.subscribe(kind, self.told.append)
        self.policy = Policy(
            "homers",
            "MongoDB (homers)",
            replace(LIMITS, **limits),
            events=events,
            observe=lambda name, size, _, error: self.attempts.append((name, size, error)),
        )

    async def run(self, method: Any, operation: Operation = READ, **more: Any) -> Any:
        return await self.policy.run(operation, 1, method, **more)

    def open_breaker(self) -> None:
        """Fail it as a store that has been away for a while."""
        breaker = self.policy.breaker
        while (ticket := breaker.admit()) is not None:
            breaker.fail(ticket, -UNBROKEN, OSError("down"))


class Store:
    """Answers with each of `answers` in turn; the last one again and again."""

    def __init__(self, *answers: Any) -> None:
        self.calls = 0
        self._answers = answers

    async def call(self) -> Any:
        answer = self._answers[min(self.calls, len(self._answers) - 1)]
        self.calls += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


class Hanging:
    """Never answers; minds its cancellation when `is_free` is set."""

    def __init__(self) -> None:
        self.calls = 0
        self.has_begun = asyncio.Event()
        self.is_free = asyncio.Event()
        self.is_free.set()

    async def call(self) -> None:
        self.calls += 1
        self.has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await self.is_free.wait()


# Retries.


@pytest.mark.parametrize("operation", [READ, WRITE])
async def test_what_provably_was_not_done_is_repeated(operation: Operation) -> None:
    bench, down = Bench(), Unavailable("Down.")
    store = Store(down, "well")
    assert await bench.run(store.call, operation) == "well"
    assert bench.attempts == [(operation.name, 1, down), (operation.name, 1, None)]
    [retried] = bench.told
    assert (retried.dependency, retried.attempt, retried.error) == ("homers", 1, down)
    assert 0 <= retried.delay <= 0.05


@pytest.mark.parametrize(
    ("error", "operation"),
    [
        (OutcomeUnknown("Who knows."), WRITE),
        (Unavailable("Slow.", slow=True), READ),
        (Missing("Not there."), READ),
        (Misconfigured("Wrong password."), READ),
        (Unavailable("The body is gone."), UPLOAD),
        (RuntimeError("defect"), READ),
    ],
    ids=str,
)
async def test_what_may_have_been_done_or_would_not_help_is_not_repeated(
    error: Exception, operation: Operation
) -> None:
    bench, store = Bench(retry_budget=1), Store(error)
    with pytest.raises(type(error)):
        await bench.run(store.call, operation)
    assert store.calls == 1


async def test_attempts_are_bounded() -> None:
    bench, store = Bench(), Store(Unavailable("Down."))
    bench.policy.retry.budget.balance = SAVED
    with pytest.raises(Unavailable, match=r"Down\."):
        await bench.run(store.call)
    assert store.calls == 3


async def test_a_failing_store_sees_at_most_a_fifth_more_calls() -> None:
    bench, store = Bench(retry_budget=0.2), Store(Unavailable("Down."))
    for calls in range(1, 101):
        with pytest.raises(Unavailable):
            await bench.run(store.call)
        assert store.calls <= 1.2 * calls
    assert store.calls == 120


def test_a_quiet_hour_does_not_pay_for_a_storm() -> None:
    budget = Budget(0.2)
    for _ in range(10_000):
        budget.deposit()
    assert sum(budget.withdraw() for _ in range(100)) == SAVED


async def test_an_attempt_that_could_not_end_in_time_is_not_begun() -> None:
    bench, store = Bench(call_timeout=5), Store(Unavailable("Down."))
    with pytest.raises(Unavailable):
        await bench.run(store.call)
    assert store.calls == 1


# The breaker.


async def test_an_open_breaker_refuses_says_when_and_is_not_retried() -> None:
    bench, store = Bench(), Store("well")
    bench.open_breaker()
    with pytest.raises(Unavailable) as refused:
        await bench.run(store.call)
    assert not refused.value.slow
    assert 0 < refused.value.retry_after <= 60
    assert store.calls == 0
    assert bench.attempts == []
    assert bench.told[1:] == [CallRejected("homers", "breaker")]


@pytest.mark.parametrize(
    ("error", "is_failure"),
    [
        (Unavailable("Down.", slow=True), True),
        (OutcomeUnknown("Who knows."), True),
        (Missing("Not there."), False),
        (Misconfigured("Wrong password."), False),
        (RuntimeError("defect"), False),
    ],
    ids=str,
)
async def test_only_a_lack_of_an_answer_is_a_failure(error: Exception, *, is_failure: bool) -> None:
    bench = Bench(breaker_failures=1)
    bench.open_breaker()
    bench.policy.breaker._shut_until = 0
    with pytest.raises(type(error)):
        await bench.run(Store(error).call)
    state = bench.policy.breaker.state
    if isinstance(error, SpringfieldError):
        assert state is (State.OPEN if is_failure else State.CLOSED)
    else:  # a defect says nothing: the next call is the probe
        assert state is State.HALF_OPEN
        assert await bench.run(Store("well").call) == "well"


async def test_a_cancelled_probe_leaves_its_place_to_the_next() -> None:
    bench, hanging = Bench(), Hanging()
    bench.open_breaker()
    bench.policy.breaker._shut_until = 0
    probe = asyncio.create_task(bench.run(hanging.call))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await bench.run(Store("well").call)
    probe.cancel()
    await asyncio.wait({probe})
    assert await bench.run(Store("well").call) == "well"
    assert bench.policy.breaker.state is State.CLOSED


async def test_a_probe_that_finds_no_place_or_leaves_the_queue_is_none() -> None:
    bench, hanging = Bench(concurrency=1, queue_timeout=0.01), Hanging()
    inside = asyncio.create_task(bench.run(hanging.call))
    await asyncio.sleep(0)
    bench.open_breaker()
    bench.policy.breaker._shut_until = 0
    for _ in range(2):
        with pytest.raises(Unavailable, match="Too many"):
            await bench.run(Store("well").call)
    impatient = asyncio.create_task(bench.run(Store("well").call))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait({impatient})
    inside.cancel()
    await asyncio.wait({inside})
    assert await bench.run(Store("well").call) == "well"


async def test_those_who_queue_when_the_breaker_opens_are_not_let_through() -> None:
    bench, hanging, store = Bench(concurrency=1), Hanging(), Store("well")
    inside = asyncio.create_task(bench.run(hanging.call))
    queued = [asyncio.create_task(bench.run(store.call)) for _ in range(10)]
    await asyncio.sleep(0)
    bench.open_breaker()
    inside.cancel()
    refused = await asyncio.gather(*queued, return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in refused)
    assert store.calls == 0
    assert (bench.policy.bulkhead.in_use, bench.policy.bulkhead.queued) == (0, 0)


# The bulkhead.


async def test_no_more_than_the_limit_are_inside_and_a_full_queue_is_not_retried() -> None:
    bench, hanging = Bench(queue_limit=1), Hanging()
    tasks = [asyncio.create_task(bench.run(hanging.call)) for _ in range(3)]
    await asyncio.sleep(0)
    assert hanging.calls == 2
    assert (bench.policy.bulkhead.in_use, bench.policy.bulkhead.queued) == (2, 1)
    with pytest.raises(Unavailable, match="Too many") as refused:
        await bench.run(hanging.call)
    assert not refused.value.slow
    assert bench.told == [CallRejected("homers", "bulkhead")]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert (bench.policy.bulkhead.in_use, bench.policy.bulkhead.queued) == (0, 0)


async def test_an_upload_takes_no_place() -> None:
    bench, hanging = Bench(concurrency=1), Hanging()
    uploads = [asyncio.create_task(bench.run(hanging.call, UPLOAD)) for _ in range(5)]
    await asyncio.sleep(0)
    assert await bench.run(Store("well").call) == "well"
    for upload in uploads:
        upload.cancel()
    await asyncio.wait(uploads)
    assert bench.policy.bulkhead.in_use == 0


@pytest.mark.parametrize("error", [Unavailable("Down."), RuntimeError("defect")], ids=str)
async def test_places_come_back_whatever_a_call_comes_to(error: Exception) -> None:
    bench = Bench(retry_budget=0)
    for _ in range(5):
        with pytest.raises(type(error)):
            await bench.run(Store(error).call)
    assert bench.policy.bulkhead.in_use == 0


# The caller's deadline.


async def in_time(seconds: float, call: Callable[[], Any]) -> Any:
    """Run with a deadline, in a context of its own."""

    async def run() -> Any:
        deadline.set(asyncio.get_running_loop().time() + seconds)
        return await call()

    return await asyncio.create_task(run())


@pytest.mark.parametrize(
    ("operation", "expected"), [(READ, Unavailable), (WRITE, OutcomeUnknown), (UPLOAD, Unavailable)]
)
async def test_a_deadline_is_kept_though_the_driver_ends_later(
    operation: Operation, expected: type[SpringfieldError]
) -> None:
    bench, hanging = Bench(), Hanging()
    hanging.is_free.clear()
    with pytest.raises(expected) as late:
        await in_time(0.05, lambda: bench.run(hanging.call, operation))
    assert getattr(late.value, "slow", False)
    assert bench.policy.bulkhead.in_use == (0 if operation.is_stream else 1)
    hanging.is_free.set()
    await bench.policy.close()
    assert bench.policy.bulkhead.in_use == 0
    assert bench.policy.breaker._in_a_row == 0


async def test_an_upload_that_was_sent_whole_has_an_unknown_outcome() -> None:
    bench, progress = Bench(), Progress()

    async def upload() -> None:
        progress.is_sent = True
        await asyncio.Event().wait()

    with pytest.raises(OutcomeUnknown):
        await in_time(0.05, lambda: bench.run(upload, UPLOAD, progress=progress))


async def test_a_deadline_that_passes_before_a_repetition_leaves_nothing_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.uniform", lambda _, longest: longest)
    monkeypatch.setattr(retry, "FIRST_PAUSE", 1.0)
    bench, store = Bench(), Store(Unavailable("Down."), "well")
    with pytest.raises(Unavailable) as late:
        await in_time(0.05, lambda: bench.run(store.call, WRITE))
    assert late.value.slow
    assert store.calls == 1


@pytest.mark.parametrize("operation", [READ, WRITE])
async def test_a_deadline_that_passes_in_the_queue_or_before_leaves_nothing_done(
    operation: Operation,
) -> None:
    bench, hanging, store = Bench(concurrency=1), Hanging(), Store("well")
    inside = asyncio.create_task(bench.run(hanging.call))
    await asyncio.sleep(0)
    for seconds in (0.05, 0):
        with pytest.raises(Unavailable) as late:
            await in_time(seconds, lambda: bench.run(store.call, operation))
        assert late.value.slow
    assert store.calls == 0
    inside.cancel()
    await asyncio.wait({inside})
    await bench.policy.close()
    assert (bench.policy.bulkhead.in_use, bench.policy.bulkhead.queued) == (0, 0)


async def test_a_deadline_that_is_far_changes_nothing() -> None:
    bench = Bench()
    assert await in_time(30, lambda: bench.run(Store(Unavailable("Down."), "well").call)) == "well"
    with pytest.raises(Missing):
        await in_time(30, lambda: bench.run(Store(Missing("Not there.")).call))


@pytest.mark.parametrize("seconds", [None, 30])
async def test_a_caller_that_leaves_gives_its_place_back_once_the_driver_has_ended(
    seconds: float | None,
) -> None:
    bench, hanging = Bench(), Hanging()

    async def call() -> None:
        if seconds is not None:
            deadline.set(asyncio.get_running_loop().time() + seconds)
        await bench.run(hanging.call)

    caller = asyncio.create_task(call())
    await asyncio.wait_for(hanging.has_begun.wait(), 5)
    caller.cancel()
    await asyncio.wait({caller})
    assert caller.cancelled()
    await bench.policy.close()
    assert bench.policy.bulkhead.in_use == 0


async def test_other_limits_hold_from_now_on() -> None:
    bench, hanging = Bench(concurrency=1, attempts=1), Hanging()
    tasks = [asyncio.create_task(bench.run(hanging.call)) for _ in range(2)]
    await asyncio.sleep(0)
    assert bench.policy.bulkhead.queued == 1
    bench.policy.adjust(replace(LIMITS, queue_limit=1, attempts=2))
    assert bench.policy.bulkhead.queued == 0
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    store = Store(Unavailable("Down."), "well")
    assert await bench.run(store.call) == "well"


def test_a_call_that_answers_at_once_is_told_like_any_other() -> None:
    bench = Bench()
    assert bench.policy.run_at_once(READ, 2, lambda name: f"{name}!", "bart") == "bart!"
    assert bench.attempts == [("read", 2, None)]
    assert bench.policy.bulkhead.in_use == 0


def test_a_call_that_cannot_answer_at_once_is_none_yet() -> None:
    bench = Bench(concurrency=1)
    assert bench.policy.run_at_once(READ, 1, lambda: None) is None
    deadline.set(1e9)  # which only a call that is awaited keeps
    assert bench.policy.run_at_once(READ, 1, lambda: "bart") is None
    deadline.set(None)
    assert bench.policy.bulkhead.enter_at_once()  # there is no place now
    assert bench.policy.run_at_once(READ, 1, lambda: "bart") is None
    assert bench.attempts == []
    assert bench.policy.bulkhead.in_use == 1


def test_a_call_that_fails_at_once_leaves_the_place_and_the_probe_to_the_next() -> None:
    def fail() -> str:
        raise ValueError

    bench = Bench()
    bench.open_breaker()
    bench.policy.breaker._shut_until = 0
    for _ in range(2):
        with pytest.raises(ValueError):  # noqa: PT011
            bench.policy.run_at_once(READ, 1, fail)
        assert bench.policy.breaker.state is State.HALF_OPEN
    assert bench.policy.run_at_once(READ, 1, lambda: "bart") == "bart"
    assert bench.policy.breaker.state is State.CLOSED
    assert bench.policy.bulkhead.in_use == 0


def test_an_open_breaker_refuses_at_once() -> None:
    bench = Bench(breaker_failures=1)
    bench.open_breaker()
    with pytest.raises(Unavailable) as refused:
        bench.policy.run_at_once(READ, 1, lambda: "bart")
    assert refused.value.retry_after
    assert bench.policy.bulkhead.in_use == 0

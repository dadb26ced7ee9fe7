import asyncio

import pytest

from springfield.resilience.bulkhead import Bulkhead, BulkheadFull


async def waiting(bulkhead: Bulkhead, count: int) -> "list[asyncio.Task[None]]":
    """Let some callers wait for a place."""
    tasks = [asyncio.create_task(bulkhead.enter(30)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def full(queue_limit: int = 10) -> Bulkhead:
    bulkhead = Bulkhead(1, queue_limit)
    assert bulkhead.enter_at_once()
    assert not bulkhead.enter_at_once()
    return bulkhead


async def test_places_go_to_those_who_waited_longest() -> None:
    bulkhead = full()
    tasks = await waiting(bulkhead, 3)
    for turn, task in enumerate(tasks):
        assert (bulkhead.in_use, bulkhead.queued) == (1, 3 - turn)
        bulkhead.leave()
        await asyncio.wait_for(task, 5)
        assert not any(later.done() for later in tasks[turn + 1 :])
    bulkhead.leave()
    assert (bulkhead.in_use, bulkhead.queued) == (0, 0)


async def test_who_comes_when_the_queue_is_full_is_turned_away_at_once() -> None:
    bulkhead = full(queue_limit=1)
    [first] = await waiting(bulkhead, 1)
    with pytest.raises(BulkheadFull):
        await bulkhead.enter(30)
    bulkhead.leave()
    await asyncio.wait_for(first, 5)


async def test_who_waited_long_enough_is_turned_away_and_forgotten() -> None:
    bulkhead = full()
    [patient] = await waiting(bulkhead, 1)
    with pytest.raises(BulkheadFull):
        await bulkhead.enter(0.01)
    assert bulkhead.queued == 1
    bulkhead.leave()
    await asyncio.wait_for(patient, 5)


async def test_who_leaves_the_queue_takes_no_place() -> None:
    bulkhead = full()
    first, second = await waiting(bulkhead, 2)
    first.cancel()
    bulkhead.leave()  # before the cancelled one has run
    await asyncio.wait_for(second, 5)
    with pytest.raises(asyncio.CancelledError):
        await first
    bulkhead.leave()
    assert (bulkhead.in_use, bulkhead.queued) == (0, 0)


async def test_a_place_that_is_given_to_one_who_just_left_goes_to_the_next() -> None:
    bulkhead = full()
    first, second = await waiting(bulkhead, 2)
    bulkhead.leave()
    first.cancel()  # it has the place and does not know
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 5)
    bulkhead.leave()
    assert (bulkhead.in_use, bulkhead.queued) == (0, 0)


async def test_a_lower_limit_holds_as_places_come_back() -> None:
    bulkhead = Bulkhead(2, 10)
    assert bulkhead.enter_at_once()
    assert bulkhead.enter_at_once()
    bulkhead.resize(1, 10)
    [task] = await waiting(bulkhead, 1)
    bulkhead.leave()
    await asyncio.sleep(0)
    assert not task.done()
    bulkhead.leave()
    await asyncio.wait_for(task, 5)


async def test_thousands_of_clients_in_a_closed_loop_are_all_served() -> None:
    bulkhead = Bulkhead(16, 1024)
    most = 0

    async def client() -> None:
        nonlocal most
        for _ in range(10):
            if not bulkhead.enter_at_once():
                await bulkhead.enter(30)
            most = max(most, bulkhead.in_use)
            await asyncio.sleep(0)
            bulkhead.leave()

    await asyncio.gather(*(client() for _ in range(1040)))
    assert (most, bulkhead.in_use, bulkhead.queued) == (16, 0, 0)

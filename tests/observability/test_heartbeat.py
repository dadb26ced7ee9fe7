import asyncio
import threading
import time

from springfield.observability.events import Events, LoopTurned
from springfield.observability.heartbeat import INTERVAL, Heartbeat


async def test_the_heart_beats_while_the_loop_turns_and_another_thread_sees_when_it_does_not() -> (
    None
):
    events = Events()
    turned = asyncio.Queue[LoopTurned]()
    events.subscribe(LoopTurned, turned.put_nowait)
    heartbeat = Heartbeat(events)
    ages: list[float] = []

    def look() -> None:
        before = heartbeat.age()
        while heartbeat.age() >= before:  # until the loop turns again
            ages.append(before := heartbeat.age())
            time.sleep(INTERVAL / 10)

    with heartbeat.beating():
        await turned.get()
        looking = threading.Thread(target=look)
        looking.start()
        time.sleep(INTERVAL * 8)  # noqa: ASYNC251 - the loop is to be blocked
        late = await turned.get()
        await asyncio.to_thread(looking.join)
    assert max(ages) > INTERVAL * 5
    assert late.lag > INTERVAL * 5


async def test_the_heart_stops_with_its_context() -> None:
    events = Events()
    turned: list[LoopTurned] = []
    events.subscribe(LoopTurned, turned.append)
    with Heartbeat(events).beating():
        pass
    await asyncio.sleep(INTERVAL * 3)
    assert not turned

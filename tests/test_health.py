import asyncio
import time

import pytest

from springfield.errors import Unavailable
from springfield.health import Component, Health


class Store:
    """Counts its pings; ends a cancelled one late, as some adapters do."""

    def __init__(self, seconds: float, error: Exception | None = None) -> None:
        self.pings = 0
        self._seconds = seconds
        self._error = error

    async def ping(self) -> None:
        self.pings += 1
        await asyncio.shield(asyncio.sleep(self._seconds))
        if self._error is not None:
            raise self._error


async def test_a_store_that_does_not_mind_cancellation_does_not_delay_the_answer() -> None:
    slow, well = Store(1.0), Store(0)
    health = Health([Component("a", "Slow", slow.ping), Component("b", "Well", well.ping)], 0.1)
    started = time.monotonic()
    for _ in range(3):
        first, second = await health.check()
        assert (first.failure, second.failure) == ("It did not answer within 0.1 s.", None)
    assert time.monotonic() - started < 0.9
    assert (slow.pings, well.pings) == (1, 3)
    await asyncio.sleep(1)
    assert (await health.check())[1].failure is None


async def test_a_failure_is_said_and_a_defect_is_raised() -> None:
    down = Health([Component("a", "Down", Store(0, Unavailable("Down.")).ping)], 1)
    assert [each.failure for each in await down.check()] == ["Down."]
    refused = Unavailable("Redis at a:1 cannot be reached; nothing was written.")
    gone = Health([Component("a", "Redis", Store(0, refused).ping)], 1)
    assert [each.failure for each in await gone.check()] == ["Redis at a:1 cannot be reached."]
    broken = Health([Component("a", "Broken", Store(0, RuntimeError("defect")).ping)], 1)
    with pytest.raises(RuntimeError, match="defect"):
        await broken.check()

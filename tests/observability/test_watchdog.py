import time
from collections.abc import Callable

from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from springfield.observability.events import Events, LoopBlocked, LoopTurned
from springfield.observability.heartbeat import INTERVAL, Heartbeat
from springfield.observability.watchdog import watching_loop

LIMIT = 0.1


class Told:
    """A handler's loop, watched; what was told of it."""

    def __init__(self) -> None:
        self.blocked: list[LoopBlocked] = []
        self.turned: list[float] = []
        self.turns: list[tuple[int, float]] = []
        """For each turn of the loop how many blockages were told since the one before, and its lag."""

    def _turn(self, event: LoopTurned) -> None:
        told = len(self.blocked) - sum(before for before, _ in self.turns)
        self.turns.append((told, event.lag))
        self.turned.append(event.lag)

    async def ask(self, work: Callable[[], None], times: int = 1) -> None:
        """Let a handler do `work` on the loop."""

        class Blocking(RequestHandler):
            def get(self) -> None:
                work()

        events = Events()
        events.subscribe(LoopBlocked, self.blocked.append)
        events.subscribe(LoopTurned, self._turn)
        server = HTTPServer(Application([("/", Blocking)]))
        listener, port = bind_unused_port()
        server.add_socket(listener)
        client = AsyncHTTPClient(force_instance=True)
        heartbeat = Heartbeat(events)
        try:
            with heartbeat.beating(), watching_loop(heartbeat, events, LIMIT):
                for _ in range(times):
                    await client.fetch(f"http://127.0.0.1:{port}/")
                    before = len(self.turned)
                    while len(self.turned) < before + 5:  # it turns well again
                        await client.fetch(f"http://127.0.0.1:{port}/none", raise_error=False)
        finally:
            client.close()
            server.stop()
            await server.close_all_connections()


def a_culprit_that_sleeps() -> None:
    time.sleep(LIMIT * 8)


def a_culprit_that_computes() -> None:
    end = time.monotonic() + LIMIT * 8
    while time.monotonic() < end:
        sum(range(1000))


async def test_a_handler_that_sleeps_is_named_while_it_blocks_the_loop_and_once_a_blockage() -> (
    None
):
    told = Told()
    await told.ask(a_culprit_that_sleeps, times=4)
    # A machine that stops for a moment right before a culprit begins makes the stop its blockage's stack.
    named = [event for event in told.blocked if "a_culprit_that_sleeps" in event.stack]
    assert len(named) >= 2
    assert "time.sleep(LIMIT * 8)" in named[0].stack
    assert all(LIMIT + INTERVAL <= event.seconds < LIMIT * 8 for event in named)
    blockages = [before for before, lag in told.turns if lag > LIMIT * 6]
    assert len(blockages) >= 4
    assert set(blockages) == {1}, "each was told once, while it went on"


async def test_a_handler_that_computes_is_named() -> None:
    told = Told()
    await told.ask(a_culprit_that_computes)
    assert any("a_culprit_that_computes" in event.stack for event in told.blocked)


async def test_a_handler_that_is_quick_is_no_culprit() -> None:
    told = Told()
    await told.ask(a_quick_one, times=5)
    assert not any("a_quick_one" in event.stack for event in told.blocked)


def a_quick_one() -> None:
    sum(range(1000))

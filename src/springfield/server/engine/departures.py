"""In charge of when answers leave: those of one turn of the event loop together, at its end.

Each write wakes the client's side up. Where the next one comes 50 µs later, a client has fallen asleep
again, and waking it is most of what a write costs: with 64 connections a greeting took 92 µs, and takes
67 since answers leave together. A lone client has its answer at once: to wait for the end of the turn
would cost it 10 µs.
"""

import asyncio
from typing import Protocol

_LONE_TURNS = 4
"""After so many turns in a row with one answer each the next ones leave at once."""
_PROBE = 17
"""Every so many of those one waits for the end of its turn, and whoever comes behind it, to see whether
there are more now. A prime: it is not the last of each turn."""


class Departing(Protocol):
    """Who has something to send."""

    def leave(self) -> None:
        """Send it."""


class Departures:
    """What was written on the connections of one server in this turn and has not left."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Departing] = []
        self._lone_turns = 0
        self._at_once = 0
        self.done: asyncio.Future[None] = self._loop.create_future()
        """Is done: one for all who need not wait."""
        self.done.set_result(None)

    def are_gathered(self) -> bool:
        """Whether what is written now is to wait for the end of the turn."""
        if self._waiting or self._lone_turns < _LONE_TURNS:
            return True
        self._at_once += 1
        return self._at_once % _PROBE == 0

    def add(self, departing: Departing) -> None:
        """Let it leave at the end of the turn."""
        if not self._waiting:
            self._loop.call_soon(self._leave)
        self._waiting.append(departing)

    def _leave(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._lone_turns = self._lone_turns + 1 if len(waiting) == 1 else 0
        for departing in waiting:
            departing.leave()

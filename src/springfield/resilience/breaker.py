"""In charge of not asking a dependency that does not answer.

Contract
    Closed, it lets all calls through. It opens after `failures` in a row, when nothing has succeeded
    for `UNBROKEN` seconds: a moment in which all connections break is no outage, and one dead shard
    of many is none either. Open, it lets none through for `cooldown` seconds; then, half-open, one
    at a time, the probe: its success closes, its failure opens again.

Order
    Inside the retry, around the bulkhead: what it turns away takes no place and no time.

Cancellation
    A cancelled call says nothing about the dependency; a cancelled probe makes room for the next. A
    probe that takes longer than `cooldown` does, too. What a call that began before the last change
    comes to is no news.

Defaults
    5 failures, 2 seconds.

Rejected
    A share of failures within a window: it opens late after a busy hour, and early on a quiet one.
    Probes in the background: a ping may succeed where calls fail.
"""

import time
from collections.abc import Callable
from enum import StrEnum

UNBROKEN = 1.0
"""Seconds without a success that make failures an outage."""


class State(StrEnum):
    """What a breaker does with calls."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """The breaker of one dependency. `changed` is told each new state, with the failure that led to it."""

    def __init__(
        self,
        failures: int,
        cooldown: float,
        changed: Callable[[State, BaseException | None], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures = failures
        self.cooldown = cooldown
        self.state = State.CLOSED
        self._changed = changed
        self._clock = clock
        self._ticket = 0
        self._in_a_row = 0
        self._failing_since = 0.0
        self._shut_until = 0.0

    @property
    def retry_after(self) -> float:
        """Seconds until a call may be let through; 0 when it is let through now."""
        return max(0.0, self._shut_until - self._clock())

    def admit(self) -> int | None:
        """Return the ticket of a call that may begin, None for one that may not.

        Each ticket is handed to one of `succeed`, `fail` and `abandon`.
        """
        if self.state is State.CLOSED:
            return self._ticket
        if self._clock() < self._shut_until:
            return None
        self._shut_until = self._clock() + self.cooldown
        self._ticket += 1
        if self.state is State.OPEN:
            self._change(State.HALF_OPEN, None)
        return self._ticket

    def is_valid(self, ticket: int) -> bool:
        """Whether nothing has changed since the ticket was given."""
        return ticket == self._ticket

    def succeed(self, ticket: int) -> None:
        """Take note that the dependency has answered, be it with a refusal."""
        if ticket == self._ticket:
            self._in_a_row = 0
            if self.state is not State.CLOSED:
                self._shut_until = 0.0
                self._change(State.CLOSED, None)

    def fail(self, ticket: int, began: float, error: BaseException) -> None:
        """Take note that a call that began at `began`, of the clock, was not answered."""
        if ticket != self._ticket:
            return
        if not self._in_a_row:
            self._failing_since = began
        self._in_a_row += 1
        is_outage = (
            self._in_a_row >= self.failures and self._clock() - self._failing_since >= UNBROKEN
        )
        if is_outage or self.state is State.HALF_OPEN:
            self._shut_until = self._clock() + self.cooldown
            self._ticket += 1
            self._change(State.OPEN, error)

    def abandon(self, ticket: int) -> None:
        """Take note that a call ended and said nothing: it was cancelled, or has a defect."""
        if ticket == self._ticket and self.state is State.HALF_OPEN:
            self._shut_until = 0.0

    def _change(self, state: State, error: BaseException | None) -> None:
        self.state = state
        self._changed(state, error)

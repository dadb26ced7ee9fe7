"""In charge of whether a failed call is repeated, and when.

Contract
    Repeated is what failed quickly with an error that proves that nothing was done (`repeatable`),
    while there are attempts, budget and time for one more whole attempt. The pause is random between
    0 and a bound that doubles: full jitter, so that callers that failed together return apart.

Order
    Inside the deadline, around the breaker: each attempt asks it again, and what an open breaker or a
    full bulkhead turned away is not repeated.

Cancellation
    A caller that leaves in a pause leaves nothing behind.

Defaults
    3 attempts, pauses of up to 50 and 100 ms.

Rejected
    To repeat what was slow: it doubles the caller's wait and the load of a store that struggles.
    To repeat a write whose outcome is unknown: it could undo a newer write, or tell the winner of a
    race that it lost.
"""

import random

from springfield.errors import SpringfieldError
from springfield.resilience.budget import Budget

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds, at most."""


class Retry:
    """Decides on repeating the calls to one dependency."""

    def __init__(
        self, attempts: int, ratio: float, repeatable: tuple[type[SpringfieldError], ...]
    ) -> None:
        self.attempts = attempts
        self.budget = Budget(ratio)
        self._repeatable = repeatable

    def pause_after(self, error: BaseException, attempt: int, left: float) -> float | None:
        """Return the seconds to wait before the next attempt; None when there shall be none.

        `attempt` counts from 1; `left` are the seconds in which another attempt may begin.
        """
        if not isinstance(error, self._repeatable) or getattr(error, "slow", False):
            return None
        if attempt >= self.attempts or left <= 0 or not self.budget.withdraw():
            return None
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1), left)
        return random.uniform(0, longest)  # noqa: S311

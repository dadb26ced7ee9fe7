"""In charge of how many retries there may be: a share of the calls, so that a failing store is not drowned.

Contract
    A call puts `ratio` in, a retry takes 1 out. Over the life of a process retries are at most
    `ratio` of the calls: with 0.2 a store sees at most 1.2 times the calls that were made.

Order
    Beside the retry, which asks it. Calls that a breaker or a bulkhead turned away put nothing in.

Cancellation
    Nothing waits here.

Defaults
    Empty at the start; at most `SAVED` are kept, so that a quiet hour does not pay for a storm.

Rejected
    A number of attempts alone: three attempts of every call triple the load of a store that fails
    since it is overloaded. Retries that are free for low rates: then the bound is none.
"""

SAVED = 10.0
"""The most retries that are saved up."""


class Budget:
    """The retries that are left."""

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        self.balance = 0.0

    def deposit(self) -> None:
        """Take note of a call."""
        self.balance = min(SAVED, self.balance + self.ratio)

    def withdraw(self) -> bool:
        """Take a retry out; False when there is none."""
        if self.balance < 1:
            return False
        self.balance -= 1
        return True

"""In charge of who comes after a child of the supervisor, and when: at once, or ever later.

A child that ends again soon would only cost the processor; one that has lived for a while has not.
"""

import time

from springfield.server.worker import Role, Worker

STEADY = 30.0
"""Seconds of life after which the end of a child is not held against it."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a child that ended twice within STEADY is replaced; doubled each time."""


class Place:
    """Where a child of a role is: the one that serves, and the one that is to succeed it."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.present: Worker | None = None
        self.next: Worker | None = None
        self.due = 0.0
        """When the present one is started, if there is none; monotonic."""
        self._failures = 0

    def schedule(self, lived: float) -> float:
        """Set when who ended after `lived` seconds is replaced; return in how many seconds."""
        self._failures = 1 if lived >= STEADY else self._failures + 1
        pause = FIRST_PAUSE * 2.0 ** (self._failures - 2) if self._failures > 1 else 0.0
        self.due = time.monotonic() + min(pause, LONGEST_PAUSE)
        return min(pause, LONGEST_PAUSE)

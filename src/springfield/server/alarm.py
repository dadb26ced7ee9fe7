"""In charge of waking a process without an event loop: by signals, by descriptors, by time.

A signal is a byte in a pipe, so that none is lost between looking and waiting.
"""

import os
import select
import signal
from collections.abc import Sequence

LONGEST = 3600.0
"""Seconds of one wait; select(2) takes no infinity."""


class Alarm:
    """Takes the signals that it was made for, from then on; for the main thread."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._woken, self._wake = os.pipe()
        for descriptor in self.descriptors:
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda *_: None)  # or no byte would be written

    @property
    def descriptors(self) -> Sequence[int]:
        """The pipe; a forked process has to close it."""
        return self._woken, self._wake

    def wait(self, descriptors: Sequence[int], seconds: float) -> bytes:
        """Wait until one of `descriptors` can be read, or a signal came; return the signals."""
        select.select([self._woken, *descriptors], [], [], min(LONGEST, max(0.0, seconds)))
        try:
            return os.read(self._woken, 4096)
        except BlockingIOError:
            return b""

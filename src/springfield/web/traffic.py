"""In charge of counting the requests in flight, and of how near the end of serving is."""

import asyncio


class Traffic:
    """The requests that have begun and whose answer is not yet sent."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.waiting = 0
        """Those in flight that only wait for a change, and take nothing but memory."""
        self.is_draining = False
        """Whether no more requests are wanted: readiness fails, answers say `Connection: close`."""
        self.is_stopping = False
        """Whether nothing is listened on any more, so that no answer may take its time."""
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def active(self) -> int:
        """The requests in flight that are being worked on."""
        return self.in_flight - self.waiting

    def begin(self) -> None:
        """Take note of a request."""
        if not self.in_flight:
            self._quiet.clear()
        self.in_flight += 1

    def end(self) -> None:
        """Take note that a request's answer was sent, or that its client is gone."""
        self.in_flight -= 1
        if not self.in_flight:
            self._quiet.set()

    async def finish(self, timeout: float) -> int:
        """Wait until nothing is in flight, at most `timeout` seconds; return what still is."""
        try:
            async with asyncio.timeout(timeout):
                await self._quiet.wait()
        except TimeoutError:
            pass
        return self.in_flight

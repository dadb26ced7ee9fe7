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
        self._quiet: asyncio.Future[None] | None = None
        """Of who waits until nothing is in flight; an Event would be set and cleared by each request."""

    @property
    def active(self) -> int:
        """The requests in flight that are being worked on."""
        return self.in_flight - self.waiting

    def begin(self) -> None:
        """Take note of a request."""
        self.in_flight += 1

    def end(self) -> None:
        """Take note that a request's answer was sent, or that its client is gone."""
        self.in_flight -= 1
        if not self.in_flight and self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    async def finish(self, timeout: float) -> int:
        """Wait until nothing is in flight, at most `timeout` seconds; return what still is."""
        try:
            async with asyncio.timeout(timeout):
                while self.in_flight:
                    self._quiet = asyncio.get_running_loop().create_future()
                    await self._quiet
        except TimeoutError:
            pass
        return self.in_flight

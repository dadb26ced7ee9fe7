"""In charge of the weather over HTTP."""

import math

from springfield.resilience.deadline import remaining
from springfield.upstream.cached import Cached, Reading
from springfield.upstream.weather import Condition
from springfield.web.handlers.base import Handler


class MaggieHandler(Handler):
    """`/api/v1/maggie`."""

    def initialize(self, route: str, weather: Cached[Condition], place: str) -> None:
        """Take the upstream, and the place that its weather is of."""
        super().initialize(route)
        self.weather = weather
        self.place = place

    async def get(self) -> None:
        """Say what the weather is, in a sentence, and in the headers how old that is."""
        reading = await self.weather.get(remaining())
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Cache-Status", cache_status(reading))
        if reading.forwarded is None:
            self.set_header("Age", int(reading.age))  # RFC 9111, section 5.1
        condition = reading.value
        self.write(
            f"Currently {condition.temperature} degrees and {condition.text} in {self.place}"
        )

    head = get


def cache_status(reading: Reading[Condition]) -> str:
    """Return the value of Cache-Status (RFC 9211): where the answer is from, and how long it is good.

    A negative `ttl` is how long it has been stale; `detail=stale-if-error` says why it is served.
    """
    if reading.forwarded is not None:
        return f"springfield; fwd={reading.forwarded}"
    # Rounded down, so that what is stale never has a ttl of 0.
    hit = f"springfield; hit; ttl={math.floor(reading.time_to_live)}"
    return hit if reading.time_to_live > 0 else f"{hit}; detail=stale-if-error"

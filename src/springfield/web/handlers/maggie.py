"""In charge of the weather over HTTP."""

from springfield.upstream.weather import Weather
from springfield.web.handlers.base import Handler


class MaggieHandler(Handler):
    """`/api/v1/maggie`."""

    def initialize(self, route: str, weather: Weather) -> None:
        """Take the upstream."""
        super().initialize(route)
        self.weather = weather

    async def get(self) -> None:
        """Say what the weather is, in a sentence."""
        condition = await self.weather.current()
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.write(
            f"Currently {condition.temperature} degrees and {condition.text} "
            f"in {self.weather.place}"
        )

    head = get

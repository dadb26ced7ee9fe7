"""In charge of the health over HTTP."""

import json

from springfield.health import Health
from springfield.web.handlers.base import Handler
from springfield.web.problems import Problem


class HealthcheckHandler(Handler):
    """`/api/v1/healthcheck`."""

    def initialize(self, route: str, health: Health) -> None:
        """Take the components to ask."""
        super().initialize(route)
        self.health = health

    async def get(self) -> None:
        """Answer `OK`, or 503 with what failed; every component for `Accept: application/json`."""
        components = await self.health.check()
        failed = [each for each in components if each.failure is not None]
        self.set_header("Cache-Control", "no-store")
        if "application/json" in self.request.headers.get("Accept", ""):
            self.set_status(503 if failed else 200)
            self.set_header("Content-Type", "application/json")
            report = {
                "status": "failed" if failed else "ok",
                "components": [each.as_dict() for each in components],
            }
            self.write(json.dumps(report).encode())
        elif failed:
            detail = " ".join(
                f"{each.name} ({each.product}) failed: {each.failure}" for each in failed
            )
            names = {"failed": [each.name for each in failed]}
            self.write_problem(Problem("unhealthy", 503, detail, {"Retry-After": "1"}, names))
        else:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.write(b"OK")

    head = get

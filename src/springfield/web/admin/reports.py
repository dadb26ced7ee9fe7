"""In charge of what is only looked at: metrics, facts, breakers, tasks."""

from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST

from springfield.web.admin.base import AdminHandler


class MetricsHandler(AdminHandler):
    """`/metrics`, in Prometheus' text format."""

    def initialize(self, route: str, render: Callable[[], bytes]) -> None:
        """Take what renders the metrics."""
        super().initialize(route)
        self.render_metrics = render

    def get(self) -> None:
        """Answer with all metrics."""
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.set_header("Cache-Control", "no-store")
        self.write(self.render_metrics())

    head = get


class ReportHandler(AdminHandler):
    """`/info`, `/breakers` and `/tasks`: what a call returns, as JSON."""

    def initialize(self, route: str, report: Callable[[], Awaitable[object]]) -> None:
        """Take the call."""
        super().initialize(route)
        self.report = report

    async def get(self) -> None:
        """Answer with the report."""
        self.answer(await self.report())

    head = get

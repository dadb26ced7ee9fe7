"""In charge of saying that a request is over, whoever listens: logs, metrics, traces."""

from typing import cast

from tornado.web import RequestHandler

from springfield.observability.events import RequestFinished
from springfield.web.handlers.base import Handler

CLIENT_CLOSED_REQUEST = 499
"""What is told, after nginx, for a client that went away before its answer."""


def report(finished: RequestHandler) -> None:
    """Publish what is to be told of a request: Tornado's `log_request`."""
    handler = cast("Handler", finished)
    request = handler.request
    handler.shared.events.publish(
        RequestFinished(
            request.method or "",
            handler.route,
            request.path,
            CLIENT_CLOSED_REQUEST if handler.is_abandoned else handler.get_status(),
            handler.size,
            request.request_time(),
            handler.trace_context,
            request.protocol,
            handler.failure,
            request.remote_ip or "",
            handler.waited,
        )
    )

"""In charge of the line that is logged for each request."""

import logging

from tornado.web import RequestHandler

log = logging.getLogger("springfield.access")


CLIENT_CLOSED_REQUEST = 499
"""What is logged, after nginx, for a client that went away before its answer."""


def log_request(handler: RequestHandler) -> None:
    """Log method, path, status and milliseconds; never a body or a header."""
    request = handler.request
    is_abandoned = getattr(handler, "is_abandoned", False)
    log.info(
        "%s %s %d %.1fms",
        request.method,
        request.path,
        CLIENT_CLOSED_REQUEST if is_abandoned else handler.get_status(),
        request.request_time() * 1000,
    )

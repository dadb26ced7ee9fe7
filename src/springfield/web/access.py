"""In charge of the line that is logged for each request."""

import logging

from tornado.web import RequestHandler

log = logging.getLogger("springfield.access")


def log_request(handler: RequestHandler) -> None:
    """Log method, path, status and milliseconds; never a body or a header."""
    request = handler.request
    log.info(
        "%s %s %d %.1fms",
        request.method,
        request.path,
        handler.get_status(),
        request.request_time() * 1000,
    )

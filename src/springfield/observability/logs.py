"""In charge of what is logged of events: a line a request, and never a body or a header."""

import logging

from springfield.observability.events import Events, RequestFinished

access = logging.getLogger("springfield.access")


def log_events(events: Events) -> None:
    """Log from now on what happens."""
    events.subscribe(RequestFinished, _log_request)


def _log_request(event: RequestFinished) -> None:
    milliseconds = event.seconds * 1000
    access.info("%s %s %d %.1fms", event.method, event.path, event.status, milliseconds)

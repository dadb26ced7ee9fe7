"""In charge of the words that a worker tells its supervisor, a line each, so that its successor knows."""

from collections.abc import Callable

Say = Callable[[str], None]
"""Tells the supervisor; any thread may."""

READY = "ready"
RELOADED = "reloaded"
"""Settings and certificate were read anew, and were good."""
DRAINING = "draining"
"""Followed by `on` or `off`."""
LOG_LEVEL = "log-level"
"""Followed by the level."""


def tell_nobody(_: str) -> None:
    """Be the `Say` of a process that has no supervisor."""

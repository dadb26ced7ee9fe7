"""In charge of which event loop runs: uvloop where it is installed, else asyncio's own."""

import asyncio
from collections.abc import Callable


def import_event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """Import what makes event loops, and return it; no loop is made."""
    try:
        import uvloop  # noqa: PLC0415 - not made for every platform
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop; for `asyncio.Runner(loop_factory=new_event_loop)`."""
    return import_event_loop()()

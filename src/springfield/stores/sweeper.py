"""In charge of removing expired items in the background, in small steps.

Nobody depends on it: an expired item is absent from its end on. It keeps tables from growing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from springfield.errors import StoreError
from springfield.stores.store import Expiring

PAUSE = 30.0
"""Seconds between two looks at a store that had nothing to remove."""

BREATH = 0.2
"""Seconds between two steps, so that requests come in between."""

log = logging.getLogger("springfield.stores")


@asynccontextmanager
async def sweeping(stores: Sequence[Expiring]) -> AsyncIterator[None]:
    """Sweep each store in a task of its own while the context is open."""
    # Not a task group: it would wrap whatever the service raises into an exception group.
    tasks = [asyncio.create_task(_sweep(store)) for store in stores]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _sweep(store: Expiring) -> None:
    while True:
        await asyncio.sleep(PAUSE)
        removed = 1
        try:
            while removed:
                removed = await store.sweep()
                await asyncio.sleep(BREATH)
        except StoreError as error:  # the next look may find it well again
            log.info("expired items stay for now: %s", error)

"""In charge of work that would hold the event loop for long: large JSON.

One thread for the whole process: Python runs one thread at a time, and a second one would take its
turns from the loop. Of a call in C (parsing, say) the loop still waits for the end, some tens of
milliseconds for a mebibyte; a sequence of them no longer adds up.
"""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

T = TypeVar("T")

LARGE = 64 * 1024
"""Bytes of JSON that are parsed and rendered in a few milliseconds, whatever they hold."""


async def compute(size: int, call: Callable[[], T]) -> T:
    """Return what `call` returns: at once for up to `LARGE` bytes, else from the thread.

    A caller that is cancelled leaves; a call that has begun runs to its end and is forgotten.
    """
    if size <= LARGE:
        return call()
    return await asyncio.get_running_loop().run_in_executor(_thread(), _without_collections, call)


def _without_collections(call: Callable[[], T]) -> T:
    # JSON has no cycles, and half a million new containers would have the heap searched for some,
    # again and again: three quarters of the time of parsing, in which nobody else runs.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return call()
    finally:
        if was_enabled:
            gc.enable()


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="large-json")

"""In charge of waiting, in a test, for what another process does in its own time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest


async def eventually(is_true: Callable[[], bool | Awaitable[bool]], deadline: float = 30) -> None:
    """Return once it is true; asked every 20 ms, for `deadline` seconds."""
    for _ in range(round(deadline / 0.02)):
        answer = is_true()
        if answer if isinstance(answer, bool) else await answer:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"It did not become true within {deadline:g} s.")

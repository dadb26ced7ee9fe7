"""In charge of saying where code is: the stacks of tasks and of threads, asked from any thread.

Nothing runs on the loop that is looked at, so that a blocked one can be looked at, too. Everything is
bounded: tasks of equal stacks are told once, with their number. A task costs about 20 µs.
"""

import asyncio
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from types import CodeType, FrameType
from typing import Any

TASKS_LIMIT = 50_000
"""How many tasks are looked at; beyond, they are only counted."""

STACKS_LIMIT = 200
"""How many different stacks are told."""

DEPTH_LIMIT = 60
"""How many frames of a stack are told: the innermost."""


Place = tuple[CodeType, int | None]
"""A function and a line in its file."""


def stack_of_thread(thread: int) -> list[str]:
    """Return where the thread of this identity is, outermost frame first."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented, in spite of its name
    places = [_shown((each.f_code, each.f_lineno)) for each in _callers(frame)]
    return places[:DEPTH_LIMIT][::-1]


def threads() -> list[dict[str, object]]:
    """Return all threads with their stacks."""
    return [
        {"name": each.name, "stack": stack_of_thread(each.ident)}
        for each in threading.enumerate()
        if each.ident is not None
    ]


def tasks_of(loop: asyncio.AbstractEventLoop) -> dict[str, object]:
    """Return the tasks of `loop` with the stacks of what they await; the most frequent first."""
    tasks = asyncio.all_tasks(loop)
    alike: dict[tuple[Place, ...], list[str]] = {}
    for task in islice(tasks, TASKS_LIMIT):
        names = alike.setdefault(tuple(_stack_of_task(task)), [])
        names.append(task.get_name())
    by_number = sorted(alike.items(), key=lambda each: -len(each[1]))
    return {
        "total": len(tasks),
        "left_out": len(tasks) - sum(len(names) for _, names in by_number[:STACKS_LIMIT]),
        "stacks": [
            {"count": len(names), "names": names[:3], "stack": [_shown(place) for place in stack]}
            for stack, names in by_number[:STACKS_LIMIT]
        ],
    }


def _stack_of_task(task: "asyncio.Task[Any]") -> list[Place]:
    # Task.get_stack() ends at the first coroutine; what it awaits is what one wants to know.
    places: list[Place] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(places) < DEPTH_LIMIT:
        frame, code, inner = _parts(awaited)
        if code is None:
            break
        places.append((code, None if frame is None else frame.f_lineno))
        awaited = inner
    return places


def _parts(awaited: Any) -> tuple[FrameType | None, CodeType | None, Any]:
    """Return the frame and the code of a coroutine or generator, and what it waits for."""
    for prefix, inner in (("cr", "await"), ("gi", "yieldfrom"), ("ag", "await")):
        code = getattr(awaited, f"{prefix}_code", None)
        if isinstance(code, CodeType):
            frame = getattr(awaited, f"{prefix}_frame")
            return frame, code, getattr(awaited, f"{prefix}_{inner}")
    return None, None, None


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _shown(place: Place) -> str:
    code, line = place
    return f"{code.co_qualname} ({code.co_filename}:{line or code.co_firstlineno})"

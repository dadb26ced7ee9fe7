"""In charge of checking that a recorded history of concurrent operations is linearizable.

Each name is a register of its own (linearizability is local: Herlihy and Wing, 1990), and each
history is searched for an order that fits, as Wing and Gong (1993) do, remembering what was tried.
An operation whose outcome is unknown may have happened at any time after it began, or never.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

ABSENT = None
Value = str | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: what was asked for, what was answered, and between which moments."""

    name: str
    kind: str
    """read, write, delete, or swap (`expected` for `value`)."""
    began: float
    ended: float
    """When the answer came; infinity when none did."""
    value: Value = ABSENT
    """What was read or written."""
    expected: Value = ABSENT
    won: bool = True
    """Of a swap: whether it was done."""

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows if it happened."""
        return math.isinf(self.ended)

    def apply(self, state: Value) -> tuple[bool, Value]:
        """Tell whether the answer fits this state, and what the state is then."""
        match self.kind:
            case "read":
                return self.value == state, state
            case "write":
                return True, self.value
            case "delete":
                return True, ABSENT
            case _:
                matches = state == self.expected
                if self.is_unknown:
                    return True, self.value if matches else state
                return matches == self.won, self.value if self.won else state


def violations(history: Iterable[Operation]) -> list[str]:
    """Return the names whose operations fit no order."""
    by_name: dict[str, list[Operation]] = {}
    for operation in history:
        if not (operation.is_unknown and operation.kind == "read"):
            by_name.setdefault(operation.name, []).append(operation)
    return [name for name, operations in by_name.items() if not _fits(operations)]


def _fits(operations: list[Operation]) -> bool:
    operations = sorted(operations, key=lambda each: each.began)
    required = frozenset(i for i, each in enumerate(operations) if not each.is_unknown)
    # A state of the search: how many of the first are done, which others are, the register.
    start: tuple[int, frozenset[int], Value] = (0, frozenset(), ABSENT)
    stack, seen = [start], {start}
    while stack:
        low, done, state = stack.pop()
        if low == len(operations) or required <= done.union(range(low)):
            return True
        for index in _candidates(operations, low, done):
            fits, after = operations[index].apply(state)
            if fits:
                following = (*_advance(low, done | {index}), after)
                if following not in seen:
                    seen.add(following)
                    stack.append(following)
    return False


def _candidates(operations: list[Operation], low: int, done: frozenset[int]) -> list[int]:
    """Return what may come next: whatever began before any of the others had ended."""
    deadline = math.inf
    candidates = []
    for index in range(low, len(operations)):
        if operations[index].began > deadline:
            break
        if index not in done:
            candidates.append(index)
            deadline = min(deadline, operations[index].ended)
    return [index for index in candidates if operations[index].began <= deadline]


def _advance(low: int, done: frozenset[int]) -> tuple[int, frozenset[int]]:
    while low in done:
        done -= {low}
        low += 1
    return low, done

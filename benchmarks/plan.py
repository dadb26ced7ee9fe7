"""In charge of which cases are measured, by whom, and for how long.

The whole plan turns one knob at a time around the case of the targets (64 connections, 100 bytes,
10,000 names); `every` multiplies them all, and takes a night.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.backends import OBJECTS
from benchmarks.contenders import OBSTORE_PEERS, PEERS
from benchmarks.rounds import Pace
from benchmarks.targets import OURS, base, is_judged
from benchmarks.works import LARGE, NAMES, SMALL, WORKS, Case, StoreName

CONNECTIONS = (1, 16, 64, 256, 1024)
_OBJECT_CONNECTIONS = {OBJECTS[0]: (1, 16, 64, 256), OBJECTS[1]: (1, 16)}
CURVE_SIZES = (100, 1024, 10 * 1024, 100 * 1024)
CURVE_NAMES = (1_000, 10_000, 100_000, 1_000_000)
IDLE_CONNECTIONS = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    cases: Sequence[Case]
    contenders: Sequence[str]
    pace: Pace
    curves: bool = False
    judged: Pace | None = None
    """How long is measured where a target is about it; None: as all else."""

    def pace_of(self, case: Case) -> Pace:
        """Return how long the case is measured."""
        return self.judged if self.judged and is_judged(case) else self.pace

    def stores(self) -> list[StoreName]:
        """Return the stores in the order of the cases."""
        return list(dict.fromkeys(WORKS[case.work].store for case in self.cases))

    def of(self, store: StoreName) -> list[Case]:
        """Return the cases of a store."""
        return [case for case in self.cases if WORKS[case.work].store == store]


def whole(*, every: bool = False) -> Plan:
    """Return the plan of `make bench`."""
    cases = [Case("greeting", connections) for connections in CONNECTIONS]
    for work in WORKS.values():
        if work.store not in {"none", "s3"}:
            cases += _all(work.key) if every else _around(work.key)
    for size in OBJECTS:
        cases += [Case("s3-read", each, size, 1) for each in _OBJECT_CONNECTIONS[size]]
    # What is large comes last: a store that searches all it has would be slow with the small, too.
    cases.sort(key=lambda case: case.size == LARGE)
    contenders = (OURS, "springfield-tornado", *PEERS, *OBSTORE_PEERS, "webdis")
    return Plan(cases, contenders, Pace(2, 0.4, 0.15), curves=True, judged=Pace(5, 0.5, 0.15))


def quick() -> Plan:
    """Return the plan of `make bench-quick`: two minutes."""
    cases = [base(work) for work in WORKS]
    contenders = (OURS, "tornado", "starlette", "aiohttp", "blacksheep", "starlette-obstore")
    return Plan(cases, contenders, Pace(2, 0.4, 0.1))


def curves() -> Plan:
    """Return the plan of `make bench-curves`: no cases of its own."""
    return Plan([], (), Pace(3, 1.0, 0.3), curves=True)


def _around(work: str) -> list[Case]:
    cases = [Case(work, connections) for connections in CONNECTIONS]
    return [*cases, Case(work, size=LARGE), Case(work, names=1)]


def _all(work: str) -> list[Case]:
    return [
        Case(work, connections, size, names)
        for connections in CONNECTIONS
        for size in (SMALL, LARGE)
        for names in (NAMES, 1)
    ]

"""In charge of the targets: what Springfield promises itself, as ratios within one run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.backends import OBJECTS
from benchmarks.contenders import OBSTORE_PEERS, PEERS
from benchmarks.rounds import Figures
from benchmarks.works import KIB, NAMES, SMALL, WORKS, Case, readable

OURS = "springfield"
_IDLE_LIMIT = 8 * KIB
_WIDE = 1024


@dataclass(frozen=True, slots=True)
class Target:
    """One of them, with what was measured."""

    title: str
    against: str
    limit: float
    measured: float

    @property
    def is_met(self) -> bool:
        """Whether it is."""
        return self.measured <= self.limit


Found = Mapping[tuple[Case, str], Figures]


def judge(figures: Iterable[Figures], idle: Mapping[str, float]) -> list[Target]:
    """Return the targets that the figures can tell about; `idle` is in bytes a connection."""
    found = {(each.case, each.contender): each for each in figures}
    targets = [*_greeting(found), *_stores(found), *_objects(found), *_alone(found), *_wide(found)]
    if OURS in idle:
        targets.append(Target("idle keep-alive connection", "8 KiB", 1.0, idle[OURS] / _IDLE_LIMIT))
    return targets


def _greeting(found: Found) -> Iterable[Target]:
    case = base("greeting")
    yield from _against(found, case, "greeting", ["starlette"], 1.0)
    yield from _against(found, case, "greeting", ["tornado"], 0.25)


def _stores(found: Found) -> Iterable[Target]:
    for work in WORKS.values():
        if work.store in {"none", "s3"}:
            continue
        limit = 0.6 if work.is_write and work.store != "embedded" else 0.5
        yield from _against(found, base(work.key), work.title, PEERS, limit)


def _objects(found: Found) -> Iterable[Target]:
    for size in OBJECTS:
        title = f"S3 object, {readable(size)}"
        case = base("s3-read", size)
        yield from _against(found, case, title, PEERS, 0.5)
        yield from _against(found, case, title, OBSTORE_PEERS, 1.0)


def _alone(found: Found) -> Iterable[Target]:
    for work in WORKS.values():
        case = Case(work.key, 1, *_shape(work.key))
        title = f"{work.title}, a lone connection, p50"
        yield from _against(found, case, title, PEERS, 1.05)


def _wide(found: Found) -> Iterable[Target]:
    for work in WORKS.values():
        few = found.get((base(work.key), OURS))
        many = found.get((Case(work.key, _WIDE, *_shape(work.key)), OURS))
        if few and many:
            title = f"{work.title}, 1,024 connections against 64"
            yield Target(title, "itself", 1.2, many.cost / few.cost)


def is_judged(case: Case) -> bool:
    """Whether a target is about the case."""
    is_usual = (case.size, case.names) == _shape(case.work)
    return (is_usual and case.connections in {1, 64, _WIDE}) or case == base("s3-read", OBJECTS[1])


def base(work: str, size: int | None = None) -> Case:
    """Return the case that targets are about: 64 connections; small values, 10,000 names."""
    default_size, names = _shape(work)
    connections = 16 if size == OBJECTS[1] else 64
    return Case(work, connections, size or default_size, names)


def _shape(work: str) -> tuple[int, int]:
    return (OBJECTS[0], 1) if work == "s3-read" else (SMALL, NAMES)


def _against(
    found: Found,
    case: Case,
    title: str,
    rivals: Sequence[str],
    limit: float,
) -> Iterable[Target]:
    """Give the target, if we and a rival were measured; the best of the rivals counts."""
    ratio = _ratio_of_p50 if case.connections == 1 else _ratio_of_cost
    ours = found.get((case, OURS))
    theirs = [found[case, rival] for rival in rivals if (case, rival) in found]
    if ours and theirs:
        ratios = {each.contender: ratio(ours, each) for each in theirs}
        best = max(ratios, key=lambda rival: ratios[rival])
        yield Target(title, best, limit, ratios[best])


def _ratio_of_cost(ours: Figures, theirs: Figures) -> float:
    """Return the median of the rounds' ratios: what slows the machine for a round slows both in it."""
    if not ours.rounds or len(ours.rounds) != len(theirs.rounds):
        return ours.cost / theirs.cost
    return median(a / b for a, b in zip(ours.rounds, theirs.rounds, strict=True))


def _ratio_of_p50(ours: Figures, theirs: Figures) -> float:
    return ours.p50 / theirs.p50

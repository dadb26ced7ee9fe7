"""In charge of the order of things: every case in alternating rounds over all contenders.

What disturbs the machine for a second then disturbs everybody alike, and a case's figure is the
median of its rounds. Who answers wrongly is left out of the case, and the page says so: a fast wrong
answer is worth nothing.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.backends import Backends, fill_embedded
from benchmarks.contenders import Contender, Service
from benchmarks.load import Measured, Order, measure
from benchmarks.works import WORKS, Case, StoreName, is_right, name_of

_READ_BACK = 20
"""Items that are read back after each load of writes."""


class WrongAnswers(Exception):
    """A contender answered wrongly. The text says who, to what, and how."""


LeaveOut = Callable[[str], None]
"""Takes a sentence that says who is left out of what, and why."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one contender came to in one case: medians of the rounds."""

    contender: str
    case: Case
    cost: float
    """Microseconds of processor time a request."""
    rate: float
    """Requests a second."""
    p50: float
    """Seconds, as the other percentiles."""
    p99: float
    p999: float
    resident: int
    """Bytes."""
    round_trips: float | None
    """Round trips to the store a request; None where the store does not tell."""
    load_share: float
    """Of one core, what the load generator used: near 1 it was the bottleneck."""
    rounds: Sequence[float] = field(default_factory=tuple)
    """The cost of each round."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long is measured."""

    rounds: int
    seconds: float
    warm_up: float = 0.2


class Progress:
    """One line that says where the run is and how long it takes."""

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self._total = total
        self._done = 0
        self._say = say
        self._started = time.monotonic()

    def step(self, what: str) -> None:
        """Say what is measured now."""
        passed = time.monotonic() - self._started
        left = passed / self._done * (self._total - self._done) if self._done else float("nan")
        self._done += 1
        self._say(f"[{self._done}/{self._total}, {left:4.0f} s left] {what}")


@contextmanager
def running_services(
    contenders: Iterable[Contender],
    backends: Backends,
    store: StoreName,
    directory: Path,
    embedded: Iterable[tuple[int, int]] = (),
) -> Iterator[list[Service]]:
    """Start the contenders in front of the store, each on an embedded store of its own.

    `embedded` are sizes of items, and how many there are of each.
    """
    embedded = tuple(embedded) if store == "embedded" else ()
    services = [
        Service(each, backends.addresses(store), directory / each.key) for each in contenders
    ]
    with ExitStack() as stack:
        for service in services:
            for size, names in embedded:
                fill_embedded(service.embedded, size, names)
            stack.callback(service.stop)
            service.launch()
        for service in services:
            service.wait_until_ready()
        yield services


def run_case(
    case: Case,
    services: Sequence[Service],
    backends: Backends,
    pace: Pace,
    progress: Progress,
    *,
    leave_out: LeaveOut | None = None,
) -> list[Figures]:
    """Measure the case on all services that take part; raise WrongAnswers where nobody leaves out."""
    work = WORKS[case.work]
    taking_part = [each for each in services if each.contender.takes(case.work)]
    backends.fill(work.store, case.size)
    for service in taking_part:
        _check_reading(case, service)
    measured: dict[str, list[tuple[Measured, float | None]]] = {}
    for number in range(pace.rounds):
        progress.step(f"{case.title}, round {number + 1} of {pace.rounds}")
        turn = number % max(1, len(taking_part))
        for service in (*taking_part[turn:], *taking_part[:turn]):
            try:
                found = _measure(case, service, backends, pace)
            except WrongAnswers as error:
                if leave_out is None:
                    raise
                leave_out(f"{error}")
                taking_part.remove(service)
                measured.pop(service.contender.key, None)
                continue
            measured.setdefault(service.contender.key, []).append(found)
    return [_figures(case, key, rounds) for key, rounds in measured.items()]


def _measure(
    case: Case, service: Service, backends: Backends, pace: Pace
) -> tuple[Measured, float | None]:
    store = WORKS[case.work].store
    before = backends.round_trips(store)
    webdis = service.contender.key == "webdis"
    found = measure(Order(case, service.port, (service.pid,), pace.seconds, pace.warm_up, webdis))
    after = backends.round_trips(store)
    if found.wrong:
        raise WrongAnswers(f"{service.contender.title}: {case.title}: {found.wrong}")
    if WORKS[case.work].is_write:
        _check_reading(case, service)
    if before is None or after is None or not found.answered:
        return found, None
    return found, (after - before) / found.answered


def _check_reading(case: Case, service: Service) -> None:
    """See that items are there, whole. Raises WrongAnswers."""
    work, judge = WORKS[case.work], is_right(case)
    if service.contender.key == "webdis":
        return
    for _ in range(_READ_BACK if case.names > 1 else 1):
        name = name_of(case.size, random.randrange(case.names))
        path = work.path if work.store == "none" else work.path + name
        if not judge(name, service.get(path)):
            raise WrongAnswers(f"{service.contender.title}: {case.title}: {path} is another.")


def _figures(case: Case, key: str, rounds: list[tuple[Measured, float | None]]) -> Figures:
    loads = [load for load, _ in rounds]
    trips = [trips for _, trips in rounds if trips is not None]

    def median(of: Callable[[Measured], float]) -> float:
        return statistics.median(of(load) for load in loads)

    return Figures(
        key,
        case,
        median(lambda load: load.cost),
        median(lambda load: load.rate),
        median(lambda load: load.p50),
        median(lambda load: load.p99),
        median(lambda load: load.p999),
        int(median(lambda load: load.resident)),
        statistics.median(trips) if trips else None,
        median(lambda load: load.client_seconds / load.seconds),
        [load.cost for load in loads],
    )

"""In charge of the cost curves: what a request costs as one thing grows, everything else as it is."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.backends import Backends
from benchmarks.contenders import CONTENDERS, Contender, can_run
from benchmarks.idle import idle_costs
from benchmarks.plan import CURVE_NAMES, CURVE_SIZES, IDLE_CONNECTIONS
from benchmarks.rounds import Figures, Pace, Progress, run_case, running_services
from benchmarks.works import SMALL, Case, StoreName

_WHO = ("springfield", "starlette")
_WORKERS = ("springfield", "springfield-2")
_IDLE = ("springfield", "springfield-tornado", "starlette", "aiohttp", "blacksheep")

Curves = dict[str, list[Figures]]


def _here(keys: tuple[str, ...]) -> list[Contender]:
    return [CONTENDERS[key] for key in keys if can_run(CONTENDERS[key])]


def draw(
    backends: Backends, directory: Path, pace: Pace, say: Callable[[str], None]
) -> tuple[Curves, dict[str, float]]:
    """Measure the curves; return them, and the bytes that an idle connection needs."""
    curves: Curves = {"sizes": [], "names": [], "workers": []}
    steps = pace.rounds * (len(CURVE_SIZES) + len(CURVE_NAMES) + 2)
    progress = Progress(steps, say)
    if backends.has("redis"):
        with running_services(_here(_WHO), backends, "redis", directory / "sizes") as services:
            for size in CURVE_SIZES:
                case = Case("redis-read", 64, size, 1000)
                curves["sizes"] += run_case(case, services, backends, pace, progress)
    for count in CURVE_NAMES:
        place = directory / f"names-{count}"
        kept = [(SMALL, count)]
        with running_services(_here(_WHO), backends, "embedded", place, kept) as services:
            case = Case("embedded-read", 64, SMALL, count)
            curves["names"] += run_case(case, services, backends, pace, progress)
    workers = directory / "workers"
    both: tuple[tuple[StoreName, str], ...] = (("none", "greeting"), ("redis", "redis-read"))
    for store, work in both:
        if backends.has(store):
            with running_services(_here(_WORKERS), backends, store, workers / store) as services:
                curves["workers"] += run_case(Case(work), services, backends, pace, progress)
    say("idle connections")
    with running_services(_here(_IDLE), backends, "none", directory / "idle") as services:
        idle = idle_costs(services, IDLE_CONNECTIONS, say)
    return curves, idle

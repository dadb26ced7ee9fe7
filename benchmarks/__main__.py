"""In charge of the command: `python -m benchmarks whole|every|quick|curves [--out DIRECTORY]`.

`make bench`, `make bench-quick` and `make bench-curves` run it. Everything is started here, on free
ports of the loopback interface, and ends with it.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.backends import Backends, running_backends
from benchmarks.contenders import CONTENDERS, ROOT, can_run
from benchmarks.curves import draw
from benchmarks.idle import allow_descriptors
from benchmarks.machine import describe
from benchmarks.plan import Plan, curves, quick, whole
from benchmarks.report import Results, write
from benchmarks.rounds import LeaveOut, Progress, WrongAnswers, run_case, running_services
from benchmarks.works import NAMES, WORKS, StoreName

_PLANS: Mapping[str, Callable[[], Plan]] = {
    "whole": whole,
    "every": lambda: whole(every=True),
    "quick": quick,
    "curves": curves,
}
_COMMANDS = {"whole": "make bench", "quick": "make bench-quick", "curves": "make bench-curves"}
_STORES: tuple[StoreName, ...] = ("redis", "mongodb", "mysql", "s3")


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def run(name: str, out: Path) -> Path:
    """Run a plan and write its page. Raises WrongAnswers, LoadFailed and ServerFailed."""
    plan = _PLANS[name]()
    allow_descriptors()
    results = Results(_COMMANDS.get(name, f"python -m benchmarks {name}"), describe(), plan)

    def leave_out(sentence: str) -> None:
        results.left_out.append(sentence)
        say(sentence)

    for key in plan.contenders:
        if not can_run(CONTENDERS[key]):
            leave_out(f"{CONTENDERS[key].title} is not on this machine.")
    with tempfile.TemporaryDirectory(prefix="springfield-bench-") as temporary:
        directory = Path(temporary)
        stores = {store for store in _STORES if store in plan.stores()}
        if plan.curves:
            stores.add("redis")
        with running_backends(stores, directory, leave_out) as backends:
            results.machine = {**results.machine, **backends.versions()}
            _run_cases(plan, backends, directory, results, leave_out)
            if plan.curves:
                drawn = draw(backends, directory / "curves", plan.pace, say)
                results.curves, results.idle = drawn
    return write(results, out)


def _run_cases(
    plan: Plan, backends: Backends, directory: Path, results: Results, leave_out: LeaveOut
) -> None:
    cases = [case for case in plan.cases if backends.has(WORKS[case.work].store)]
    progress = Progress(sum(plan.pace_of(case).rounds for case in cases), say)
    here = [CONTENDERS[key] for key in plan.contenders if can_run(CONTENDERS[key])]
    for store in filter(backends.has, plan.stores()):
        contenders = [each for each in here if store in each.only]
        kept = [(size, NAMES) for size in {case.size for case in plan.of(store)}]
        place = directory / f"services-{store}"
        with running_services(contenders, backends, store, place, kept) as services:
            for case in plan.of(store):
                results.figures += run_case(
                    case, services, backends, plan.pace_of(case), progress, leave_out=leave_out
                )


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("plan", choices=_PLANS)
    parser.add_argument("--out", type=Path, default=ROOT / ".benchmarks")
    arguments = parser.parse_args()
    try:
        page = run(arguments.plan, arguments.out)
    except WrongAnswers as error:
        say(f"WRONG: {error}")
        return 1
    say(page.read_text().partition("## Every case")[0])
    say(f"The whole page: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""In charge of the page: every figure as Markdown, its plots beside it, its raw form as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.contenders import CONTENDERS
from benchmarks.curves import Curves
from benchmarks.plan import Plan
from benchmarks.plots import bars, lines
from benchmarks.rounds import Figures
from benchmarks.targets import OURS, base, judge
from benchmarks.works import WORKS, Case

_BOTTLENECK = 0.9


@dataclass(slots=True)
class Results:
    """What a run came to."""

    command: str
    machine: Mapping[str, str]
    plan: Plan
    figures: list[Figures] = field(default_factory=list)
    curves: Curves = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def write(results: Results, directory: Path) -> Path:
    """Write the page, its plots and the raw figures; return the page."""
    directory.mkdir(parents=True, exist_ok=True)
    raw = json.dumps(asdict(results), indent=1, default=str)
    (directory / "results.json").write_text(raw + "\n")
    parts = [_head(results), _targets(results), _overview(results, directory)]
    parts += [_connections(results, directory), _curves(results, directory), _cases(results)]
    page = directory / "results.md"
    page.write_text("\n".join(part for part in parts if part))
    return page


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines_of = ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines_of) + "\n"


def _head(results: Results) -> str:
    pace, judged = results.plan.pace, results.plan.judged
    rounds = f"Medians of {pace.rounds} alternating rounds of {pace.seconds:g} s"
    if judged:
        rounds += f"; of {judged.rounds} of {judged.seconds:g} s where a target is about it"
    text = (
        f"# Results of `{results.command}`\n\nWritten by the benchmark; the method is in "
        "[README.md](README.md), the raw figures in [results.json](results.json).\n\n"
        + table(["what", "is"], list(results.machine.items()))
        + f"\n{rounds}.\n"
    )
    for each in results.left_out:
        text += f"\nLeft out: {each}\n"
    busiest = max((each.load_share for each in results.figures), default=0)
    verdict = "it was the bottleneck there" if busiest > _BOTTLENECK else "never the bottleneck"
    return text + f"\nThe load generator used at most {busiest:.2f} of a core: {verdict}.\n"


def _targets(results: Results) -> str:
    targets = judge(results.figures, results.idle)
    if not targets:
        return ""
    missed = sum(not each.is_met for each in targets)
    rows = [
        (
            each.title,
            CONTENDERS[each.against].title if each.against in CONTENDERS else each.against,
            f"{each.limit:g}",
            f"{each.measured:.2f}",
            "met" if each.is_met else f"**missed: {each.measured / each.limit:.2f} times that**",
        )
        for each in targets
    ]
    return (
        f"## Targets: {len(targets) - missed} met, {missed} missed\n\nRatios within this run, against the "
        "best of those that count: of p50 where it is named, else of processor time a request, as the "
        "median of the rounds' ratios (what ran side by side is compared). What is against itself was "
        "measured in two cases, so there it is the ratio of their medians.\n\n"
        + table(["what", "against", "at most", "measured", ""], rows)
    )


def _overview(results: Results, directory: Path) -> str:
    found = {(each.case, each.contender): each for each in results.figures}
    keys = list(dict.fromkeys(each.contender for each in results.figures))
    groups, rows = {}, []
    for work in WORKS.values():
        here = {key: found[base(work.key), key] for key in keys if (base(work.key), key) in found}
        if here:
            groups[work.title] = {CONTENDERS[k].title: each.cost for k, each in here.items()}
            costs = (f"{here[key].cost:.0f}" if key in here else "·" for key in keys)
            rows.append((work.title, *costs))
    if not rows:
        return ""
    (directory / "cost.svg").write_text(bars("Processor time a request", groups, "µs"))
    return (
        "## Processor time a request\n\nMicroseconds, user and system, of all processes of the "
        "service; 64 connections, 100 bytes, 10,000 names, objects of 64 KiB.\n\n"
        + table(["", *(CONTENDERS[key].title for key in keys)], rows)
        + "\n![Processor time a request](cost.svg)\n"
    )


def _connections(results: Results, directory: Path) -> str:
    text = ""
    for work in WORKS.values():
        shape = base(work.key)
        series: dict[str, list[tuple[float, float]]] = {}
        for each in results.figures:
            case = each.case
            if case == Case(case.work, case.connections, shape.size, shape.names) and (
                case.work == work.key
            ):
                title = CONTENDERS[each.contender].title
                series.setdefault(title, []).append((case.connections, each.cost))
        if any(len(points) > 1 for points in series.values()):
            file = f"connections-{work.key}.svg"
            plot = lines(work.title, series, "connections", "µs of processor time a request")
            (directory / file).write_text(plot)
            text += f"\n![{work.title}: cost against connections]({file})\n"
    return f"## Cost against connections\n{text}" if text else ""


def _curves(results: Results, directory: Path) -> str:
    text = ""
    for key, title, x_title in (
        ("sizes", "Redis read: cost against the size of a value", "bytes"),
        ("names", "Embedded read: cost against the number of names", "names"),
    ):
        series: dict[str, list[tuple[float, float]]] = {}
        for each in results.curves.get(key, []):
            x = each.case.size if key == "sizes" else each.case.names
            series.setdefault(CONTENDERS[each.contender].title, []).append((x, each.cost))
        if series:
            plot = lines(title, series, x_title, "µs of processor time a request")
            (directory / f"{key}.svg").write_text(plot)
            text += f"### {title}\n\n![{title}]({key}.svg)\n\n" + _rows(results.curves[key]) + "\n"
    if workers := results.curves.get("workers"):
        text += "### Workers\n\n" + _rows(workers) + "\n"
    if results.idle:
        rows = [(CONTENDERS[key].title, f"{cost:,.0f}") for key, cost in results.idle.items()]
        text += "### Idle keep-alive connections\n\n" + table(["", "bytes a connection"], rows)
    return f"## Cost curves\n\n{text}" if text else ""


def _cases(results: Results) -> str:
    cases = dict.fromkeys(each.case for each in results.figures)
    if not cases:
        return ""
    text = "## Every case\n"
    for case in cases:
        text += f"\n### {case.title}\n\n"
        text += _rows([each for each in results.figures if each.case == case], is_titled=True)
    return text


def _rows(figures: Sequence[Figures], *, is_titled: bool = False) -> str:
    ours = next((each.cost for each in figures if each.contender == OURS), None)
    heads = ["", "CPU µs", "times ours", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "MiB"]
    rows = []
    for each in figures:
        name = CONTENDERS[each.contender].title
        ratio = f"{each.cost / ours:.2f}" if ours and is_titled else "·"
        times = (f"{1e3 * seconds:.2f}" for seconds in (each.p50, each.p99, each.p999))
        trips = "·" if each.round_trips is None else f"{each.round_trips:.3f}"
        rows.append(
            (
                name if is_titled else f"{name}: {each.case.title}",
                *(f"{each.cost:.0f}", ratio, f"{each.rate:,.0f}", *times),
                *(f"{each.resident / 2**20:.0f}", trips),
            )
        )
    return table([*heads, "round trips a request"], rows)

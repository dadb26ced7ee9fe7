"""The page says what was measured: targets are computed, plots are sound, nothing is left out."""

from dataclasses import replace
from pathlib import Path
from statistics import median
from xml.etree import ElementTree as ET

import pytest

from benchmarks.contenders import CONTENDERS
from benchmarks.plan import curves, quick, whole
from benchmarks.report import Results, write
from benchmarks.rounds import Figures
from benchmarks.targets import Target, base, judge
from benchmarks.works import WORKS, Case


def figures(contender: str, case: Case, cost: float, p50: float = 0.001) -> Figures:
    return Figures(contender, case, cost, 1000.0, p50, 0.002, 0.003, 2**20, 1.0, 0.1, (cost,))


def only(targets: list[Target], title: str, against: str) -> Target:
    (target,) = (each for each in targets if (each.title, each.against) == (title, against))
    return target


@pytest.mark.parametrize(("ours", "is_met"), [(50.0, True), (50.2, False)])
def test_a_target_counts_against_the_best_peer(ours: float, *, is_met: bool) -> None:
    costs = {"springfield": ours, "aiohttp": 100.0, "starlette": 180.0, "webdis": 10.0}
    found = [figures(key, base("redis-read"), cost) for key, cost in costs.items()]
    target = only(judge(found, {}), "Redis read", "aiohttp")
    assert target.measured == ours / 100
    assert target.is_met is is_met


def test_what_slows_a_round_slows_all_in_it_and_is_no_loss_of_ours() -> None:
    rounds = {"springfield": (50, 100, 110), "aiohttp": (100, 200, 90), "starlette": (110, 210, 95)}
    found = [
        replace(figures(key, base("redis-read"), median(each)), rounds=each)
        for key, each in rounds.items()
    ]
    target = only(judge(found, {}), "Redis read", "aiohttp")
    assert target.measured == 0.5


def test_a_lone_connection_is_judged_by_its_latency() -> None:
    case = Case("greeting", 1)
    found = [figures("springfield", case, 90, 0.002), figures("aiohttp", case, 10, 0.001)]
    target = only(judge(found, {}), "greeting, a lone connection, p50", "aiohttp")
    assert target.measured == 2
    assert not target.is_met


def test_idle_connections_and_many_connections_are_judged() -> None:
    found = [figures("springfield", Case("greeting", each), cost) for each, cost in SCALING.items()]
    targets = judge(found, {"springfield": 9 * 1024})
    assert not only(targets, "idle keep-alive connection", "8 KiB").is_met
    assert only(targets, "greeting, 1,024 connections against 64", "itself").is_met


SCALING = {64: 100.0, 1024: 119.0}


def test_the_page_has_every_figure_and_sound_plots(tmp_path: Path) -> None:
    plan = whole()
    results = Results("make bench", {"processor": "steam"}, plan, left_out=["no Webdis"])
    results.figures = [
        figures(key, case, 100 + number)
        for case in plan.cases
        for number, key in enumerate(plan.contenders)
        if CONTENDERS[key].takes(case.work)
    ]
    results.curves = {"sizes": [figures("springfield", Case("redis-read", 64, 100, 1000), 7)]}
    results.idle = {"springfield": 5000.0}
    page = write(results, tmp_path).read_text()
    assert all(f"### {case.title}\n" in page for case in plan.cases)
    assert "no Webdis" in page
    assert "| Springfield | 5,000 |" in page
    plots = list(tmp_path.glob("*.svg"))
    assert {f"]({plot.name})" in page for plot in plots} == {True}
    for plot in plots:
        ET.fromstring(plot.read_text())
    assert len(plots) == len(WORKS) + 2


def test_what_a_target_is_about_is_measured_longest() -> None:
    plan = whole()
    longest = [case for case in plan.cases if plan.pace_of(case) == plan.judged]
    paced = [figures(key, case, 100) for case in longest for key in plan.contenders]
    every = [figures(key, case, 100) for case in plan.cases for key in plan.contenders]
    assert len(judge(paced, {})) == len(judge(every, {})) > 30
    assert len(longest) < len(plan.cases) / 2
    assert {quick().pace_of(case) for case in quick().cases} == {quick().pace}


def test_each_plan_measures_what_it_promises() -> None:
    assert {case.work for case in quick().cases} == set(WORKS)
    cases = whole().cases
    assert {case.work for case in cases} == set(WORKS)
    assert {case.connections for case in cases} == {1, 16, 64, 256, 1024}
    assert {case.size for case in cases} == {100, 10 * 1024, 64 * 1024, 16 * 1024 * 1024}
    assert {case.names for case in cases} == {1, 10_000}
    assert len(set(cases)) == len(cases)
    assert curves().curves
    assert whole().curves

"""What alerts and the dashboard ask for is there, and every alert has its section in the run book."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability.scraping import everything

ROOT = Path(__file__).parent.parent.parent
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/springfield.json"
RUNBOOK = ROOT / "docs/operations/runbook.md"
METRICS = ROOT / "docs/operations/metrics.md"

WORDS = frozenset(
    [
        "or",
        "unless",
        "offset",
        "sum",
        "max",
        "min",
        "by",
        "rate",
        "increase",
        "changes",
        "min_over_time",
        "histogram_quantile",
        "label_values",
    ]
)
GIVEN_BY_PROMETHEUS = {"job", "instance"}


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    for alert in alerts():
        yield alert["alert"], alert["expr"]
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if "definition" in variable:
            yield variable["name"], variable["definition"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def asked_of(query: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Give each metric of a query with the labels that are asked of it."""
    grouped = {
        label for part in re.findall(r"\bby \(([^)]*)\)", query) for label in part.split(", ")
    }
    bare = re.sub(r'\bby \([^)]*\)|\[[^]]*\]|"[^"]*"', "", query)
    if called := re.fullmatch(r"label_values\((.*), (\w+)\)", bare):
        bare, wanted = called.groups()
        grouped.add(wanted)
    for name, selector in re.findall(r"\b([a-z]\w*)(\{[^}]*\})?", bare):
        if name not in WORDS:
            selected = set(re.findall(r"(\w+)\s*[=!]", selector))
            yield name, frozenset(selected | grouped) - GIVEN_BY_PROMETHEUS


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """The labels of every sample's name."""
    found: dict[str, set[str]] = {"up": set()}
    for family in asyncio.run(everything(tmp_path_factory.mktemp("scrape"))):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("query", [pytest.param(query, id=title) for title, query in queries()])
def test_every_metric_and_label_that_is_asked_for_is_there(
    query: str, scraped: Mapping[str, set[str]]
) -> None:
    asked = list(asked_of(query))
    assert asked
    for name, labels in asked:
        assert name in scraped
        assert labels <= scraped[name], name
    assert query.count("(") == query.count(")")


def test_an_alert_for_a_single_event_hears_of_the_first_one(
    scraped: Mapping[str, set[str]],
) -> None:
    heard = []
    for alert in alerts():
        for series in re.findall(r"increase\((.*?)\[10m\]\)", alert["expr"]):
            if scraped[
                series.partition("{")[0]
            ]:  # with labels: it is there from its first event on
                assert f"({series} unless {series} offset 10m)" in alert["expr"], alert["alert"]
                heard.append(alert["alert"])
    assert heard == ["SpringfieldDefect", "SpringfieldOutcomeUnknown"]


def test_what_a_query_asks_for_is_seen() -> None:
    query = 'sum by (le, instance) (rate(a_total{b=~"c|d",e!="f"}[5m])) / max(g) > 0.5'
    assert dict(asked_of(query)) == {"a_total": {"b", "e", "le"}, "g": {"le"}}
    assert dict(asked_of('label_values(a{job=~"$job"}, x)')) == {"a": {"x"}}


def test_every_alert_has_its_section_in_the_run_book_and_nothing_else_has() -> None:
    text = RUNBOOK.read_text()
    sections = re.findall(r"^## (Springfield\w+)$", text, re.MULTILINE)
    assert sections == [alert["alert"] for alert in alerts()]
    for alert in alerts():
        anchor = f"docs/operations/runbook.md#{alert['alert'].lower()}"
        assert alert["annotations"]["runbook_url"] == anchor
        assert alert["annotations"]["summary"]
        assert alert["labels"]["severity"] in {"warning", "critical"}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        for question in ("**What it means.**", "**Look at.**", "**Do.**"):
            assert question in section, section.partition("\n")[0]


async def test_every_metric_is_documented_and_nothing_else(tmp_path: Path) -> None:
    rows = [line for line in METRICS.read_text().splitlines() if line.startswith("| `")]
    expected = []
    for family in await everything(tmp_path):
        if family.name.startswith("springfield_"):
            labels = {label for s in family.samples for label in s.labels} - {"le"}
            shown = ", ".join(f"`{label}`" for label in sorted(labels))
            name = family.name + ("_total" if family.type == "counter" else "")
            expected.append(f"| `{name}` | {family.type} | {shown} | {family.documentation} |")
    assert sorted(rows) == sorted(expected)


def test_the_dashboard_has_no_two_panels_in_one_place() -> None:
    taken = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, panel["title"]
                assert x < 24
                taken.add((x, y))

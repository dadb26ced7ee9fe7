"""The docs tell the truth: their examples are run, their tables are compared with the code."""

import re
import subprocess
from pathlib import Path

import pytest

from springfield.configuration import flag_of, load_settings, variables_of
from springfield.settings.table import Settings
from springfield.web.problems import CODES
from tests.service import running

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("[A-Z]*.md")),
]


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_examples_answer_what_the_page_says(page: str, tmp_path: Path) -> None:
    consoles = re.findall(r"```console\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    script, expected = [], []
    for line in "".join(consoles).splitlines():
        if line.startswith("$ "):
            script.append(line[2:] + "\necho @@@")
            expected.append("")
        else:
            expected[-1] += line + "\n"
    with running(tmp_path) as service:
        commands = "\n".join(script).replace("localhost:8000", f"localhost:{service.port}")
        ended = subprocess.run(
            ["bash", "-c", commands.replace("curl ", "curl -sS ")],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    answers = [answer.strip() for answer in ended.stdout.split("@@@")[:-1]]
    assert answers == [answer.strip() for answer in expected]
    assert len(answers) > 8
    assert ended.stderr == ""


def test_every_setting_is_documented_and_nothing_else() -> None:
    documented = (ROOT / "docs/reference/settings.md").read_text().splitlines()
    rows = {line for line in documented if line.startswith("| `")}
    expected = set()
    for name, field in Settings.model_fields.items():
        variables = ", ".join(f"`{variable}`" for variable in variables_of(name, field))
        default = default_of(name)
        expected.add(
            f"| `{name}` | {variables} | `{flag_of(name)}` | {default} | {field.description} |"
        )
    assert rows == expected


def default_of(name: str) -> str:
    shown = next(row.default for row in load_settings({}, None).table() if row.name == name)
    return "" if shown == "-" else f"`{shown}`"


def test_every_error_code_is_documented_and_nothing_else() -> None:
    documented = (ROOT / "docs/reference/problems.md").read_text().splitlines()
    rows = [line for line in documented if line.startswith("| `")]
    assert rows == [
        f"| `{name}` | {code.status} | {code.title} | {code.meaning} |"
        for name, code in CODES.items()
    ]


def test_every_admin_url_is_documented_and_nothing_else() -> None:
    routes = (ROOT / "src/springfield/web/admin/routes.py").read_text()
    documented = (ROOT / "docs/operations/admin.md").read_text()
    urls = re.findall(r'Route\("(/[a-z-]+)"', routes)
    assert len(urls) > 8
    assert re.findall(r"^\| `[A-Z]+ (/[a-z-]+)`", documented, re.MULTILINE) == urls


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_decision_records_are_numbered_without_gaps_and_short() -> None:
    records = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        assert len(record.read_text().splitlines()) <= 60, record.name
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 150

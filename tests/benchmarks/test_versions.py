"""The peers get the same drivers as Springfield: nobody wins by a newer one."""

import re
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
SHARED = ["asyncmy", "hiredis", "httptools", "pymongo", "redis", "tornado", "uvloop"]


def locked(file: str) -> dict[str, str]:
    text = (REQUIREMENTS / file).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", SHARED)
def test_both_environments_lock_the_same_version(name: str) -> None:
    assert locked("bench.txt")[name] == locked("run.txt")[name]

"""How many cores `auto` stands for."""

import os
from pathlib import Path

import pytest

from springfield.settings.cores import available_cores, count_if_auto


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 4), ("100000 100000", 1), ("150000 100000", 2), ("10000 100000", 1),
     ("900000 100000", 4), ("doh", 4), (None, 4)],
)  # fmt: skip
def test_a_container_may_use_fewer_cores_than_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota + "\n")
    assert available_cores(tmp_path / "cpu.max") == cores


def test_auto_is_a_number_of_cores_and_everything_else_is_left_alone() -> None:
    assert count_if_auto("auto") == available_cores()
    assert count_if_auto("3") == "3"

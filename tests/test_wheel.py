"""The wheel that users get: built, installed elsewhere, and run from there."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.service import clean_environment

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--wheel-dir", str(built), str(ROOT)],
        check=True, timeout=100,
    )  # fmt: skip
    (found,) = built.glob("*.whl")
    return found


def test_the_wheel_holds_every_module_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = ROOT / "src"
    modules = {str(path.relative_to(source)) for path in source.rglob("*.py")}
    assert modules | {"springfield/py.typed"} == {
        name for name in names if name.startswith("springfield/")
    }
    assert any(name.endswith("LICENSE") for name in names)


def test_the_built_wheel_serves(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    script = f"""
import asyncio, pathlib, springfield
assert pathlib.Path(springfield.__file__).is_relative_to({str(installed)!r}), springfield.__file__
from springfield.cli import main
assert main(["check"]) == 0
assert main(["settings"]) == 0
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env=clean_environment({}) | {"PYTHONPATH": os.fspath(installed)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "SQLite" in ended.stdout

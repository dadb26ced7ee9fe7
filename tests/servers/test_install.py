"""In charge of showing what the installer says and answers, without installing anything."""

import pytest

from tests.servers import install


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the servers and without apt-get."""
    monkeypatch.setattr(install, "find_program", lambda *_: None)
    monkeypatch.setattr("shutil.which", lambda *_: None)


@pytest.mark.usefixtures("bare_machine")
def test_a_laptop_is_told_what_is_missing_and_does_not_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert install.main() == 0
    said = capsys.readouterr().out
    assert "MISSING: mariadbd" in said
    assert "redis-server" not in said


@pytest.mark.usefixtures("bare_machine")
def test_ci_fails_where_a_server_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", "true")
    assert install.main() == 1
    assert "MISSING: redis-server" in capsys.readouterr().out


def test_nothing_is_said_where_all_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install, "find_program", lambda *_: "/usr/sbin/mariadbd")
    assert install.main() == 0
    assert capsys.readouterr().out == ""

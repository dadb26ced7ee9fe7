"""What is said of a write whose connection was cut: before it was sent, or after."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.conftest import environment_for
from tests.process.proxy import CuttingProxy
from tests.service import ServiceProcess, running, springfield

OLD, NEW = b'"old-content"', b'"new-content"'
PATH = "/api/v1/homers/cut"


@pytest.fixture(params=["mongodb", "redis", "mysql", "s3"])
def cut(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[ServiceProcess, CuttingProxy]]:
    """The service with its store behind a proxy, and one item written."""
    store = request.param
    server = request.getfixturevalue(f"{store}_server")
    with CuttingProxy(server.host, server.port) as proxy:
        direct, behind = f"{server.host}:{server.port}", f"127.0.0.1:{proxy.port}"
        environment = {
            name: value.replace(direct, behind)
            for name, value in environment_for(store, request, "cut").items()
        }
        assert springfield("init", directory=tmp_path, **environment).returncode == 0
        with running(tmp_path, **environment) as service:
            assert service.post(PATH, OLD).status == 204
            proxy.marker = b"new-content"
            yield service, proxy


def test_a_write_that_was_sent_and_not_answered_is_outcome_unknown(
    cut: tuple[ServiceProcess, CuttingProxy],
) -> None:
    service, proxy = cut
    proxy.cut = "after"
    answer = service.post(PATH, NEW)
    proxy.cut = None
    if answer.status == 204:  # the driver asked again, and the server knew the write (MongoDB)
        assert service.get(PATH).body == NEW
        return
    assert answer.problem["code"] == "outcome-unknown"
    assert answer.status in {503, 504}
    assert proxy.cuts == 1
    assert service.get(PATH).body in {OLD, NEW}


def test_a_write_that_could_not_be_sent_is_not_done(tmp_path: Path) -> None:
    nowhere = {
        "SPRINGFIELD_HOMERS_URL": "redis://127.0.0.1:1",
        "SPRINGFIELD_LISAS_URL": "mysql://root@127.0.0.1:1/x",
        "SPRINGFIELD_MARGES_URL": "mongodb://127.0.0.1:1/x",
    }
    with running(tmp_path, **nowhere) as service:
        for resource in ("homers", "lisas", "marges"):
            answer = service.post(f"/api/v1/{resource}/x", b"1")
            assert answer.problem["code"] == "not-done"


def test_after_a_cut_the_next_request_is_served(cut: tuple[ServiceProcess, CuttingProxy]) -> None:
    service, proxy = cut
    proxy.cut = "before"
    assert service.post(PATH, NEW).status in {503, 504}
    proxy.cut = None
    assert service.get(PATH).body == OLD
    assert service.post(PATH, NEW).status == 204
    assert service.get(PATH).body == NEW

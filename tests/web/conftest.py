from collections.abc import Iterator

import pytest

from tests.service import ServiceProcess, running
from tests.web.upstream import FakeUpstream


@pytest.fixture(scope="session")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="session", params=["httptools", "tornado"])
def engine(request: pytest.FixtureRequest) -> str:
    """The whole HTTP suite runs on both wire engines."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def service(
    engine: str, tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream
) -> Iterator[ServiceProcess]:
    """The service on the embedded default, shared: each test uses names of its own."""
    directory = tmp_path_factory.mktemp("service")
    weather = ("--weather-lifetime=0", "--weather-stale=0", f"--weather-uri={upstream.uri}")
    with running(directory, f"--engine={engine}", *weather) as service:
        yield service

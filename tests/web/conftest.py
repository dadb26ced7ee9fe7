from collections.abc import Iterator

import pytest

from tests.service import ServiceProcess, running
from tests.web.upstream import FakeUpstream


@pytest.fixture(scope="session")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def service(
    tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream
) -> Iterator[ServiceProcess]:
    """The service on the embedded default, shared: each test uses names of its own."""
    with running(tmp_path_factory.mktemp("service"), WEATHER_URI=upstream.uri) as service:
        yield service

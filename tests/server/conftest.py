"""In charge of the engines that the tests run on."""

from collections.abc import Iterator

import pytest

from springfield.server.engines import EngineName
from tests.server.serving import LOOPS, Served, Setup, serving


@pytest.fixture(params=sorted(LOOPS), scope="session")
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["httptools", "tornado"], scope="session")
def engine(request: pytest.FixtureRequest) -> EngineName:
    name: EngineName = request.param
    return name


@pytest.fixture(scope="session")
def shared(engine: EngineName, loop_name: str) -> Iterator[Served]:
    """A server that many tests share, on either engine and either loop."""
    with serving(Setup(engine, loop_name)) as served:
        yield served


@pytest.fixture
def own(loop_name: str) -> Iterator[Served]:
    """Our engine, for one test, on either loop."""
    with serving(Setup("httptools", loop_name)) as served:
        yield served

"""Preconditions under races, over HTTP, on every store."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.service import ServiceProcess, running

pytestmark = pytest.mark.timeout(600)  # thousands of requests, on slow machines, too

RACERS = 50


def together(racers: int, work: Callable[[int], int]) -> Counter[int]:
    """Let all begin at the same moment."""
    barrier = threading.Barrier(racers)

    def race(number: int) -> int:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(racers) as pool:
        return Counter(pool.map(race, range(racers)))


@pytest.mark.parametrize("resource", ["homers", "marges"])
def test_of_fifty_writers_under_one_tag_one_wins(service: ServiceProcess, resource: str) -> None:
    path = f"/api/v1/{resource}/raced"
    tag = service.post(path, b"0").headers["etag"]
    statuses = together(
        RACERS, lambda n: service.request("PUT", path, b"%d" % (n + 1), If_Match=tag).status
    )
    assert statuses == {204: 1, 412: RACERS - 1}
    assert int(service.get(path).body) in range(1, RACERS + 1)


@pytest.mark.parametrize("resource", ["homers", "lisas"])
def test_of_fifty_writers_of_a_new_item_one_wins(service: ServiceProcess, resource: str) -> None:
    path = f"/api/v1/{resource}/new"
    statuses = together(
        RACERS, lambda n: service.request("PUT", path, b"%d" % n, If_None_Match="*").status
    )
    assert statuses == {204: 1, 412: RACERS - 1}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service as it is, whose one object is kept as a file."""
    with running(tmp_path_factory.mktemp("files"), "--log-level=warning") as service:
        yield service


@pytest.mark.parametrize("is_new", [False, True])
def test_of_fifty_uploads_of_a_file_under_one_condition_one_wins(
    files: ServiceProcess, is_new: bool
) -> None:
    path = "/api/v1/bart"
    condition = {"If_None_Match": "*"}
    if is_new:
        assert files.request("DELETE", path).status == 204
    else:
        condition = {"If_Match": files.post(path, b"old").headers["etag"]}
    bodies = [b"%02d" % number * 100_000 for number in range(RACERS)]
    statuses = together(RACERS, lambda n: files.request("PUT", path, bodies[n], **condition).status)
    assert statuses == {204: 1, 412: RACERS - 1}
    assert files.get(path).body in bodies


def test_counting_by_compare_and_swap_is_exact(service: ServiceProcess) -> None:
    path = "/api/v1/homers/counter"
    clients, steps = 8, 200
    service.post(path, b"0")

    def count(_: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        left, tries = steps, 0
        while left:
            tries += 1
            connection.request("GET", path)
            answer = connection.getresponse()
            body, tag = answer.read(), answer.headers["etag"]
            connection.request("PUT", path, b"%d" % (int(body) + 1), {"If-Match": tag})
            answer = connection.getresponse()
            answer.read()
            assert answer.status in {204, 412, 503}
            left -= answer.status == 204
        connection.close()
        return tries

    together(clients, count)
    assert service.get(path).body == b"%d" % (clients * steps)

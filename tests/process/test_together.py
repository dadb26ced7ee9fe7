"""Requests that travel together are answered as each is alone, on every store."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.service import Answer, ServiceProcess

pytestmark = pytest.mark.timeout(300)

LARGE = b'{"doh":"' + b"d'oh! " * 20_000 + b'"}'
"""So large that it is looked at in a thread."""

Asked = tuple[str, str, bytes | None, dict[str, str]]


def told(answer: Answer) -> tuple[int, bytes, str | None]:
    """Return what must be the same, whoever asks at the same time."""
    body = b"" if answer.status >= 400 else answer.body  # a problem tells the id of its request
    return answer.status, body, answer.headers.get("etag")


def test_requests_in_company_are_answered_as_alone(service: ServiceProcess) -> None:
    home = "/api/v1/homers/"
    tags = {
        name: service.post(home + name, body).headers["etag"]
        for name, body in {"kept": b'{"a": 1}', "large": LARGE}.items()
    }
    asked: list[Asked] = [
        ("GET", "kept", None, {}),
        ("HEAD", "kept", None, {}),
        ("GET", "large", None, {}),
        ("GET", "kept", None, {"If_None_Match": tags["kept"]}),
        ("GET", "large", None, {"If_None_Match": tags["large"]}),
        ("GET", "kept", None, {"If_Match": '"another"'}),
        ("GET", "kept", None, {"If_None_Match": '"another"', "Prefer": "wait=5"}),
        ("GET", "kept", None, {"Accept": "text/html"}),
        ("GET", "absent", None, {}),
        ("PUT", "written", b'{"b": 2}', {}),
        ("POST", "written-too", b'{"b": 3}', {}),
        ("PUT", "written-large", LARGE, {}),
        ("PUT", "refused", b"{", {}),
        ("DELETE", "deleted", None, {}),
    ]

    def ask(request: Asked) -> tuple[int, bytes, str | None]:
        method, name, body, headers = request
        return told(service.request(method, home + name, body, **headers))

    alone = [ask(each) for each in asked]
    assert {status for status, *_ in alone} == {200, 204, 304, 400, 404, 406, 412}
    numbers = [number for number in range(len(asked)) for _ in range(20)]
    random.shuffle(numbers)
    with ThreadPoolExecutor(40) as pool:
        together = list(pool.map(lambda number: ask(asked[number]), numbers))
    for number, answer in zip(numbers, together, strict=True):
        assert answer == alone[number], asked[number][:2]

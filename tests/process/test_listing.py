"""Five thousand names are listed by cursor while a hundred writers come and go, on every store."""

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.service import ServiceProcess

pytestmark = pytest.mark.timeout(600)  # thousands of requests, on slow machines, too

NAMES = 5000
WRITERS = 100


def test_what_is_there_throughout_is_listed_exactly_once(service: ServiceProcess) -> None:
    stable = [f"stable-{number:04}" for number in range(NAMES)]
    per_thread = threading.local()
    opened: list[http.client.HTTPConnection] = []

    def connection() -> http.client.HTTPConnection:
        if not hasattr(per_thread, "connection"):
            per_thread.connection = http.client.HTTPConnection(
                "127.0.0.1", service.port, timeout=60
            )
            opened.append(per_thread.connection)
        found: http.client.HTTPConnection = per_thread.connection
        return found

    def send(method: str, name: str) -> int:
        body = b"x" if method == "PUT" else None
        connection().request(method, f"/api/v1/marges/{name}", body)
        answer = connection().getresponse()
        answer.read()
        return answer.status

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda name: send("PUT", name), stable)) == {204}
    stop = threading.Event()

    def come_and_go(writer: int) -> None:
        turn = 0
        while not stop.wait(0.05):
            name = f"stable-{(writer * 50 + turn) % NAMES:04}-{writer}"
            send("PUT", name)
            send("DELETE", name)
            turn += 1

    writers = [threading.Thread(target=come_and_go, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        listed: list[str] = []
        query = "limit=700"
        while query:
            page = service.get(f"/api/v1/marges?{query}")
            assert page.status == 200, page.body
            answer = json.loads(page.body)
            listed += answer["names"]
            query = f"limit=700&cursor={answer['next']}" if answer["next"] else ""
    finally:
        stop.set()
        for writer in writers:
            writer.join()
        for each in opened:
            each.close()
    assert listed == sorted(set(listed), key=str.encode)
    assert [name for name in listed if len(name) == len(stable[0])] == stable

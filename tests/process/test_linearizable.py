"""Recorded histories of concurrent clients are linearizable, on every store."""

import http.client
import math
import random
import threading
import time

import pytest

from tests.linearizability import Operation, violations
from tests.service import ServiceProcess

pytestmark = pytest.mark.timeout(600)  # thousands of requests, on slow machines, too

CLIENTS = 8
NAMES = ["a", "b", "c", "d"]
COUNTED = 5000
SENT = 5600


class Client(threading.Thread):
    """Does random operations and records them."""

    def __init__(self, service: ServiceProcess, number: int, count: int) -> None:
        super().__init__()
        self.history: list[Operation] = []
        self.statuses: set[int] = set()
        self._number = number
        self._count = count
        self._chance = random.Random(number)
        self._known: dict[str, tuple[str | None, str | None]] = {}
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)

    def run(self) -> None:
        for turn in range(self._count):
            name = self._chance.choice(NAMES)
            kind = self._chance.choices(["read", "write", "swap", "delete"], [5, 2, 4, 1])[0]
            if kind == "swap" and name not in self._known:
                kind = "read"
            getattr(self, kind)(name, f"{self._number}.{turn}")
        self._connection.close()

    def read(self, name: str, _: str) -> None:
        status, body, tag, began, ended = self._ask("GET", name)
        if status in {200, 404}:
            found: str | None = body if status == 200 else None
            self._known[name] = (found, tag)
            self.history.append(Operation(name, "read", began, ended, found))

    def write(self, name: str, value: str) -> None:
        status, _, _, began, ended = self._ask("PUT", name, value)
        self.history.append(Operation(name, "write", began, self._end(status, ended), value))

    def delete(self, name: str, _value: str) -> None:
        status, _, _, began, ended = self._ask("DELETE", name)
        self.history.append(Operation(name, "delete", began, self._end(status, ended)))

    def swap(self, name: str, value: str) -> None:
        expected, tag = self._known.pop(name)
        headers = {"If-Match": tag} if tag else {"If-None-Match": "*"}
        status, _, _, began, ended = self._ask("PUT", name, value, headers)
        if status == 503:
            ended = math.inf  # not done, or not known: either way is allowed
        self.history.append(
            Operation(name, "swap", began, ended, value, expected, won=status == 204)
        )

    def _end(self, status: int, ended: float) -> float:
        return ended if status == 204 else math.inf

    def _ask(
        self, method: str, name: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, str | None, float, float]:
        began = time.monotonic()
        self._connection.request(method, f"/api/v1/lisas/{name}", body, headers or {})
        answer = self._connection.getresponse()
        content = answer.read().decode()
        ended = time.monotonic()
        self.statuses.add(answer.status)
        return answer.status, content, answer.headers["etag"], began, ended


def test_every_history_is_linearizable(service: ServiceProcess) -> None:
    # A read whose answer is an error says nothing and is not recorded: some are sent more.
    clients = [Client(service, number, SENT // CLIENTS) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    history = [operation for client in clients for operation in client.history]
    assert len(history) >= COUNTED
    assert set().union(*(client.statuses for client in clients)) <= {200, 204, 404, 412, 503, 504}
    assert sum(operation.kind == "swap" for operation in history) > 300
    assert violations(history) == []

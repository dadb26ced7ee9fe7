"""In charge of what an idle connection costs: thousands of clients that asked once and stay."""

import resource
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from benchmarks.contenders import Service
from benchmarks.usage import family, resident_bytes
from benchmarks.works import GREETING, WORKS

_SPARE = 512
"""Descriptors that are needed for other things."""
_FIRST = 200
"""Connections that pay for what is allocated once; they do not count."""
_SETTLING = 1.0
_DEADLINE = 10.0


def allow_descriptors() -> int:
    """Allow this process, and those it starts, as many descriptors as may be; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def idle_costs(
    services: Sequence[Service], connections: int, say: Callable[[str], None]
) -> dict[str, float]:
    """Return the bytes of resident memory that each service needs for an idle connection."""
    allowed = allow_descriptors() - _SPARE
    if allowed < connections:
        say(f"Only {allowed} descriptors are allowed here (ulimit -n -H): so many connections.")
    count = min(connections, allowed)
    return {each.contender.key: _cost(each, count) for each in services}


def _cost(service: Service, count: int) -> float:
    with ExitStack() as stack:
        for _ in range(_FIRST):
            stack.enter_context(_client(service.port))
        before = _resident(service)
        for _ in range(count):
            stack.enter_context(_client(service.port))
        return (_resident(service) - before) / count


def _client(port: int) -> socket.socket:
    """Return a connection that has asked once. Raises OSError where it is not answered."""
    client = socket.create_connection(("127.0.0.1", port), _DEADLINE)
    client.sendall(f"GET {WORKS['greeting'].path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(GREETING):
        received = client.recv(4096)
        if not received:
            raise ConnectionResetError(f"The service on port {port} closed a connection.")
        answer += received
    return client


def _resident(service: Service) -> int:
    time.sleep(_SETTLING)
    return resident_bytes(family(service.pid))

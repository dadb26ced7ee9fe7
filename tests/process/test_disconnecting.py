"""Clients that go away amid everything: nobody gets another's value, and nothing is left behind."""

import asyncio
import random
import re
from collections import Counter
from pathlib import Path

from tests.administration import Administration
from tests.servers.mongodb import MongodbServer
from tests.servers.mysql import MysqlServer
from tests.servers.redis import RedisServer
from tests.service import running, springfield, wait_for

REQUESTS = 20_000
CLIENTS = 40
GOING = 0.3
"""The part of the requests whose client goes away before it can have its answer, or gives it no time."""
NAMES = [f"name {number}" for number in range(200)]
RESOURCES = ["homers", "lisas", "marges"]
LEFT_BEHIND = re.compile(
    "Task was destroyed|never retrieved|[Uu]nclosed|ResourceWarning|Exception ignored|Traceback"
)


def test_nobody_gets_the_value_of_another_and_pools_come_back_whole(
    tmp_path: Path,
    mongodb_server: MongodbServer,
    mysql_server: MysqlServer,
    redis_server: RedisServer,
) -> None:
    environment = {
        "SPRINGFIELD_HOMERS_URL": f"{mongodb_server.url}?collection=disconnecting",
        "SPRINGFIELD_LISAS_URL": f"{mysql_server.url}?table=disconnecting",
        "SPRINGFIELD_MARGES_URL": f"{redis_server.url}?prefix=disconnecting:",
        "SPRINGFIELD_ADMIN_SOCKET": str(tmp_path / "admin.sock"),
    }
    assert springfield("init", directory=tmp_path, **environment).returncode == 0
    with running(tmp_path, "--log-level=warning", **environment) as service:
        for resource in RESOURCES:
            for name in NAMES:
                path = path_of(resource, name)
                assert service.request("PUT", path, content_of(resource, name)).status == 204
        outcomes = asyncio.run(crowd(service.port))
        assert outcomes.total() == REQUESTS
        assert outcomes["wrong"] == 0
        assert outcomes["gone"] > 0.2 * REQUESTS
        assert outcomes["200"] > 0.5 * REQUESTS
        assert set(outcomes) <= {"200", "gone", "wrong"}, outcomes
        admin = Administration(tmp_path / "admin.sock")
        for held in ("pool_in_use", "pool_waiting", "bulkhead_in_use", "requests_in_flight"):
            wait_for(lambda held=held: gauge(admin, f"springfield_{held}") == 0)  # type: ignore[misc]
        assert gauge(admin, "springfield_pool_open") > 0
        assert service.get("/api/v1/healthcheck").body == b"OK"
    assert LEFT_BEHIND.search(service.errors()) is None, service.errors()


def path_of(resource: str, name: str) -> str:
    return f"/api/v1/{resource}/{name.replace(' ', '%20')}"


def content_of(resource: str, name: str) -> bytes:
    """What names its own item; some of it large, so that it is cut in the middle."""
    text = f"{resource} {name} ".encode() * (1 if int(name.split()[1]) % 4 else 2000)
    return b'"%b"' % text if resource == "homers" else text


def gauge(admin: Administration, name: str) -> float:
    """The sum of a metric over its labels."""
    text = admin.get("/metrics").body.decode()
    values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    assert values, name
    return sum(map(float, values))


async def crowd(port: int) -> Counter[str]:
    """Send the requests from so many clients at a time, and count what came of each."""
    outcomes: Counter[str] = Counter()
    numbers = iter(range(REQUESTS))
    chance = random.Random(7)

    async def client() -> None:
        for _ in numbers:
            resource, name = chance.choice(RESOURCES), chance.choice(NAMES)
            patience = chance.choice([0, 0.0005, 0.002, 0.01]) if chance.random() < GOING else 30
            outcomes[await ask(port, resource, name, patience)] += 1

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return outcomes


async def ask(port: int, resource: str, name: str, patience: float) -> str:
    """Return `gone`, or what the answer was; `wrong` is a value of another name."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"GET {path_of(resource, name)} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        writer.write(head.encode())
        async with asyncio.timeout(patience):
            answer = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"\r\nContent-Length: (\d+)\r\n", answer)
            assert length is not None, answer
            body = await reader.readexactly(int(length[1]))
    except TimeoutError:
        return "gone"
    finally:
        writer.transport.abort()  # a reset: what most clients do that give up
    status = answer[9:12].decode()
    is_own = body == content_of(resource, name)
    return status if status != "200" or is_own else "wrong"

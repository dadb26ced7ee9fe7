"""Every error goes through every route, and the answer tells the truth about it."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient
from tornado.testing import bind_unused_port

from springfield import errors
from springfield.errors import SpringfieldError, StoreError
from springfield.health import Component, Health
from springfield.model import Kind
from springfield.object_resources import ObjectCollection, SingleObject
from springfield.observability.events import Events
from springfield.observability.logs import logging_lines
from springfield.resources import Collection
from springfield.server.engines import EngineName, make_engine
from springfield.server.limits import Limits
from springfield.stores.coalesced import Coalesced
from springfield.web.problems import CODES
from springfield.web.routes import Service, make_app
from springfield.web.safety import Safety
from springfield.web.traffic import Traffic


def leaves(kind: type[SpringfieldError]) -> Iterator[type[SpringfieldError]]:
    for each in kind.__subclasses__():
        yield from leaves(each)
    if hasattr(kind, "code"):
        yield kind


# Of the tree itself: an adapter may have kinds of its own, and whether it is imported is chance.
ERRORS = [each for each in leaves(SpringfieldError) if each.__module__ == errors.__name__]


class Failing:
    """A store, a store of objects, an object and an upstream: whatever is asked of it fails."""

    verbatim = True

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def fail(self, *_: Any) -> Any:
        raise self._error

    read = write = swap = delete = names = ping = stat = get = fail

    def at(self, _: str) -> "Failing":
        return self

    @asynccontextmanager
    async def open(self, _: Any = None) -> AsyncIterator[Any]:
        raise self._error
        yield


def service_that_fails(error: Exception) -> Service:
    failing: Any = Failing(error)
    kinds = {"homers": Kind.JSON, "lisas": Kind.TEXT, "marges": Kind.BYTES}
    return Service(
        collections=[
            Collection(name, kind, Coalesced(failing, name), 100) for name, kind in kinds.items()
        ],
        singles=[SingleObject("bart", failing, 100)],
        object_collections=[ObjectCollection("photos", failing, 100)],
        weather=failing,
        weather_place="Springfield",
        health=Health([Component("homers", "MongoDB", failing.ping)], 1),
        safety=Safety(loopback_only=True, read_only=False),
        traffic=Traffic(),
        events=Events(),
        wait_limit=1,
    )


ROUTES = [
    *((method, f"/api/v1/{name}/x") for name in ("homers", "lisas", "marges") for method in ("GET", "HEAD", "POST", "PUT", "DELETE")),
    ("PATCH", "/api/v1/homers/x"),
    *((method, f"/api/v1/{name}") for name in ("homers", "lisas", "marges", "photos", "maggie") for method in ("GET", "HEAD")),
    *((method, path) for path in ("/api/v1/bart", "/api/v1/photos/x") for method in ("GET", "HEAD", "POST", "PUT", "DELETE")),
]  # fmt: skip


async def ask(service: Service, engine: EngineName, method: str, path: str, **headers: str) -> Any:
    server = make_engine(engine, make_app(service), Limits(), None, None)
    listener, port = bind_unused_port()
    await server.start([listener])
    client = AsyncHTTPClient(force_instance=True)
    try:
        return await client.fetch(
            f"http://127.0.0.1:{port}{path}",
            method=method,
            body=b"1" if method in {"POST", "PUT", "PATCH"} else None,
            headers=headers,
            raise_error=False,
        )
    finally:
        client.close()
        server.stop_listening()
        await server.close_all_connections()


def assert_is_problem(answer: Any, code: str, status: int) -> dict[str, Any]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    if answer.request.method == "HEAD":
        assert (answer.code, answer.body) == (status, b"")
        return {"detail": None, "trace_id": None}  # it has no body to tell it
    problem: dict[str, Any] = json.loads(answer.body)
    assert (answer.code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["type"] == f"/problems/{code}"
    assert problem["title"] == CODES[code].title
    assert len(problem["trace_id"]) == 32
    return problem


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("kind", ERRORS)
async def test_every_error_through_every_route(
    engine: EngineName, kind: type[SpringfieldError], method: str, path: str
) -> None:
    answer = await ask(service_that_fails(kind("It is what it is.")), engine, method, path)
    problem = assert_is_problem(answer, kind.code, CODES[kind.code].status)
    assert problem["detail"] in {"It is what it is.", None}
    assert ("Retry-After" in answer.headers) == (kind.code == "not-done")


@pytest.mark.parametrize(
    "kind",
    [each for each in ERRORS if issubclass(each, errors.Unavailable | errors.OutcomeUnknown)],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_store_that_is_slow_is_504(
    engine: EngineName, kind: type[StoreError], method: str
) -> None:
    service = service_that_fails(kind("Late.", slow=True))
    answer = await ask(service, engine, method, "/api/v1/homers/x")
    assert_is_problem(answer, kind.code, 504)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("kind", ERRORS)
async def test_what_asks_no_store_is_served_and_health_says_what_failed(
    engine: EngineName, kind: type[SpringfieldError], method: str
) -> None:
    service = service_that_fails(kind("It is what it is."))
    assert (await ask(service, engine, method, "/api/v1/flanders")).code == 200
    health = await ask(service, engine, method, "/api/v1/healthcheck")
    problem = assert_is_problem(health, "unhealthy", 503)
    assert problem["detail"] in {"homers (MongoDB) failed: It is what it is.", None}


@pytest.mark.parametrize(
    ("method", "path"),
    [*ROUTES, ("GET", "/api/v1/healthcheck"), ("HEAD", "/api/v1/healthcheck")],
)
async def test_a_defect_is_500_and_gives_nothing_away(
    engine: EngineName, method: str, path: str, tmp_path: Path
) -> None:
    with (
        (tmp_path / "log").open("wb") as file,
        logging_lines("json", "info", descriptor=file.fileno()),
    ):
        answer = await ask(service_that_fails(RuntimeError("secret")), engine, method, path)
    problem = assert_is_problem(answer, "internal-error", 500)
    assert b"secret" not in answer.body
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    (defect,) = [line for line in lines if line["level"] == "error"]
    assert problem["trace_id"] in {defect["trace_id"], None}
    assert "RuntimeError: secret" in defect["exception"]


def test_every_error_has_a_code_that_is_documented() -> None:
    assert {each.code for each in ERRORS} <= set(CODES)
    drawn = errors.__doc__ or ""
    for each in ERRORS:
        assert f"{each.__name__} " in drawn
        assert each.code in drawn

"""Which handler takes a path, and what a handler may rely on, on both wire engines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.testing import bind_unused_port
from tornado.web import Finish

from springfield.observability.events import Events, RequestFinished
from springfield.server.engines import EngineName, make_engine
from springfield.server.limits import Limits
from springfield.web.application import Route, RoutedApplication, Shared
from springfield.web.handlers.base import Handler, NotFoundHandler
from springfield.web.later import Later
from springfield.web.safety import Safety
from springfield.web.traffic import Traffic

variable: ContextVar[str] = ContextVar("variable", default="untouched")


class Exact(Handler):
    def get(self, *names: str) -> None:
        self.write(f"{self.route} {list(names)}")


class Asynchronous(Handler):
    """Prepares, takes a body and answers with coroutines, in one context."""

    METHODS = ("GET", "POST", "OPTIONS")
    body_limit = 1000

    def prepare(self) -> Awaitable[None] | None:
        super().prepare()
        variable.set("prepared")
        return asyncio.sleep(0)

    async def take(self, chunk: bytes) -> None:
        await asyncio.sleep(0)
        variable.set(f"{variable.get()} {len(chunk)}")

    async def post(self) -> None:
        await asyncio.sleep(0)
        self.write(variable.get())


class Broken(Handler):
    """Fails at the place that the query names."""

    def at(self, place: str) -> None:
        if self.request.query == place:
            raise ValueError(place)

    def prepare(self) -> Awaitable[None] | None:
        super().prepare()
        self.at("prepare")
        return self.prepared() if self.request.query == "prepared" else None

    async def prepared(self) -> None:
        self.at("prepared")

    def get(self) -> Awaitable[None] | None:
        self.at("method")
        if self.request.query == "field":
            self.set_header("X-Broken", "a\nb")
        if self.request.query == "early":
            raise Finish(b"early")
        return self.coroutine() if self.request.query in {"coroutine", "awaited"} else None

    async def coroutine(self) -> None:
        self.at("coroutine")
        future: asyncio.Future[None] = asyncio.Future()
        future.cancel()
        await future


class Waiting(Handler):
    """Waits for one result, as the query says."""

    def get(self) -> Awaitable[None] | None:
        variable.set("its own")
        future: asyncio.Future[str] = asyncio.Future()
        loop = asyncio.get_running_loop()
        match self.request.query:
            case "cancelled":
                loop.call_soon(future.cancel)
            case "failed":
                loop.call_soon(future.set_exception, ValueError("failed"))
            case _:
                loop.call_soon(future.set_result, "result")
        later = Later(future, self.more if "more" in self.request.query else self.go_on)
        return self.awaiting(later) if "awaited" in self.request.query else later

    def go_on(self, result: str) -> None:
        if self.request.query == "broken":
            raise ValueError(result)
        self.write(f"{result} in {variable.get()}")

    def more(self, result: str) -> Awaitable[None]:
        return self.later(result)

    async def later(self, result: str) -> None:
        await asyncio.sleep(0)
        self.write(f"{result} later in {variable.get()}")

    async def awaiting(self, later: Later) -> None:
        await later


ROUTES = [
    Route("/exact", Exact),
    Route("/exact/", Exact, told_as="/exact"),
    Route("/exact/{name}", Exact),
    Route("/a/b/{name}", Exact),
    Route("/asynchronous", Asynchronous),
    Route("/broken", Broken),
    Route("/waiting", Waiting),
]


@asynccontextmanager
async def served(engine: EngineName) -> AsyncIterator[tuple[str, list[RequestFinished]]]:
    events, told = Events(), list[RequestFinished]()
    events.subscribe(RequestFinished, told.append)
    application = RoutedApplication(
        ROUTES,
        Route("(none)", NotFoundHandler),
        Shared(Safety(loopback_only=True, read_only=False), Traffic(), events),
    )
    server = make_engine(engine, application, Limits())
    listener, port = bind_unused_port()
    await server.start([listener])
    try:
        yield f"http://127.0.0.1:{port}", told
    finally:
        server.stop_listening()
        await server.close_all_connections()


@pytest.fixture(params=["httptools", "tornado"])
def engine(request: pytest.FixtureRequest) -> EngineName:
    name: EngineName = request.param
    return name


async def ask(url: str, method: str = "GET", body: bytes | None = None) -> HTTPResponse:
    client = AsyncHTTPClient(force_instance=True)
    try:
        return await client.fetch(url, method=method, body=body, raise_error=False)
    finally:
        client.close()


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/exact", "/exact []"),
        ("/exact/", "/exact []"),
        ("/exact?x=1", "/exact []"),
        ("/exact/n", "/exact/{name} ['n']"),
        ("/exact/n/m/", "/exact/{name} ['n/m/']"),
        ("/exact//", "/exact/{name} ['/']"),
        ("/exact/a%2Fb%20%C3%A9+", "/exact/{name} ['a/b é+']"),
        ("/a/b/n", "/a/b/{name} ['n']"),
    ],
)
async def test_a_path_is_looked_up(engine: EngineName, path: str, answer: str) -> None:
    async with served(engine) as (url, told):
        assert (await ask(url + path)).body.decode() == answer
    assert [each.route for each in told] == [answer.split(" ", maxsplit=1)[0]]


@pytest.mark.parametrize("path", ["/", "/exactly", "/a/b", "/a/b/", "/a/c/n", "/EXACT", "//exact"])
async def test_other_paths_lead_nowhere(engine: EngineName, path: str) -> None:
    async with served(engine) as (url, told):
        assert (await ask(url + path)).code == 404
    assert [each.route for each in told] == ["(none)"]


async def test_head_body_and_method_share_a_context_that_no_other_request_has(
    engine: EngineName,
) -> None:
    async with served(engine) as (url, _):
        for _ in range(2):
            answer = await ask(f"{url}/asynchronous", "POST", b"12345")
            assert answer.body == b"prepared 5"
    assert variable.get() == "untouched"


@pytest.mark.parametrize(
    "place", ["prepare", "prepared", "method", "coroutine", "awaited", "field"]
)
async def test_whatever_is_raised_is_answered_and_told_once(engine: EngineName, place: str) -> None:
    async with served(engine) as (url, told):
        answer = await ask(f"{url}/broken?{place}")
        assert (answer.code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert [each.status for each in told] == [500]


async def test_finish_ends_a_method_with_what_it_says(engine: EngineName) -> None:
    async with served(engine) as (url, told):
        answer = await ask(f"{url}/broken?early")
        assert (answer.code, answer.body) == (200, b"early")
    assert [each.status for each in told] == [200]


@pytest.mark.parametrize(
    ("how", "status", "body"),
    [
        ("", 200, b"result in its own"),
        ("more", 200, b"result later in its own"),
        ("awaited", 200, b"result in its own"),
        ("awaited-more", 200, b"result later in its own"),
        ("cancelled", 500, None),
        ("failed", 500, None),
        ("broken", 500, None),
    ],
)
async def test_what_waits_for_one_result_is_answered_with_it(
    engine: EngineName, how: str, status: int, body: bytes | None
) -> None:
    async with served(engine) as (url, told):
        answer = await ask(f"{url}/waiting?{how}")
        assert answer.code == status
        assert body is None or answer.body == body
    assert [each.status for each in told] == [status]
    assert variable.get() == "untouched"


async def test_a_method_that_awaits_nothing_or_one_result_costs_no_task() -> None:
    async with served("httptools") as (url, _):
        await ask(f"{url}/exact")  # the client's own are made
        tasks: list[str] = []
        loop = asyncio.get_running_loop()

        def counting(loop: asyncio.AbstractEventLoop, work: object, **more: object) -> object:
            tasks.append(repr(work))
            return asyncio.Task(work, loop=loop, **more)  # type: ignore[arg-type]

        loop.set_task_factory(counting)  # type: ignore[arg-type]
        try:
            await ask(f"{url}/exact")
            await ask(f"{url}/waiting")
            awaiting_nothing = answering(tasks)
            await ask(f"{url}/asynchronous", "POST", b"12345")
        finally:
            loop.set_task_factory(None)
    assert (awaiting_nothing, answering(tasks)) == (0, 1)


def answering(tasks: list[str]) -> int:
    return len([each for each in tasks if "_answered" in each])

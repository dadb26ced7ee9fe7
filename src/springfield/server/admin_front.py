"""In charge of the admin address of several workers: asks all of them and makes one answer.

Every worker's admin listener is at `worker-N.sock` in one directory. A socket at which nobody listens
is that of a worker that does not run. The URLs are those of a single process (`web/admin/routes.py`).
One worker that hangs keeps nobody from hearing of the others: a read has a short deadline.
"""

import asyncio
import json
import signal
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST

from springfield.server.admin import admin_safety, finish
from springfield.server.admin_client import Address, Reply, Unreachable, ask
from springfield.server.engine.server import HttptoolsServer
from springfield.server.limits import Limits
from springfield.server.loop import new_event_loop
from springfield.server.worker_metrics import merge_metrics
from springfield.web.admin.base import AdminHandler
from springfield.web.admin.routes import admin_application
from springfield.web.application import Route, RoutedApplication
from springfield.web.problems import HTTPRefusal
from springfield.web.safety import READS, Safety

READ_TIMEOUT = 1.5
"""Seconds that a worker has to tell something, whatever its serving loop does: it has a thread for it.
A probe gives up after two."""

SWITCH_TIMEOUT = 5.0
"""Seconds that a worker has to throw a switch."""

RELOAD_TIMEOUT = 15.0
"""Seconds that a worker has to reload; it may take ten."""

OTHERS_TIMEOUT = 0.25
"""Seconds that the other workers have to tell theirs once one has said that it is ready."""

Answers = Mapping[str, Reply | Unreachable]
"""What each worker that runs answered, by its number."""


def run_front(
    sockets: Sequence[socket.socket], fleet: "Fleet", started: Callable[[], None]
) -> None:
    """Answer on `sockets`, which are bound, for all workers of `fleet`, until SIGTERM or SIGINT.

    `started` is called once it does.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(sockets, make_front_app(fleet, admin_safety(sockets)), started))


async def _serve(
    sockets: Sequence[socket.socket], application: RoutedApplication, started: Callable[[], None]
) -> None:
    is_over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, is_over.set)
    engine = HttptoolsServer(application, Limits())
    await engine.start(sockets)
    started()
    await is_over.wait()
    await finish(engine)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers that there should be."""

    directory: Path
    """Where their admin listeners are."""
    size: int
    health_timeout: float
    """Seconds that a critical store has, which a worker asks for `/readyz`."""


def make_front_app(fleet: Fleet, safety: Safety) -> RoutedApplication:
    """Return the application that answers for all workers of `fleet`."""
    front = Front(fleet)
    readiness = fleet.health_timeout + READ_TIMEOUT
    return admin_application(
        [
            _route("/livez", FrontHandler.live, front, "GET, HEAD"),
            _route("/readyz", FrontHandler.ready, front, "GET, HEAD", readiness),
            _route("/metrics", FrontHandler.metrics, front, "GET, HEAD"),
            _route("/info", FrontHandler.every, front, "GET, HEAD"),
            _route("/breakers", FrontHandler.every, front, "GET, HEAD"),
            _route("/tasks", FrontHandler.every, front, "GET, HEAD"),
            _route("/log-level", FrontHandler.every, front, "GET, HEAD, PUT"),
            _route("/drain", FrontHandler.every, front, "GET, HEAD, POST, DELETE"),
            _route("/reload", FrontHandler.every, front, "POST", RELOAD_TIMEOUT),
        ],
        safety,
    )


class Front:
    """Asks the workers of a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._directory = fleet.directory.absolute()
        self.numbers = [str(number) for number in range(fleet.size)]
        """Of the workers that there should be."""

    async def ask(self, method: str, path: str, body: bytes, seconds: float) -> Answers:
        """Ask all workers at the same time; who does not run is left out.

        Raises HTTPRefusal when the directory is gone: no worker can be reached any more.
        """
        self._check_directory()
        replies = await asyncio.gather(
            *(self._ask(number, method, path, body, seconds) for number in self.numbers)
        )
        return _present(zip(self.numbers, replies, strict=True))

    def _check_directory(self) -> None:
        if not self._directory.is_dir():
            raise HTTPRefusal(
                "not-live",
                f"The workers' sockets in {self._directory} are gone; restart the service.",
            )

    async def ask_until_well(self, path: str, seconds: float) -> Answers:
        """Ask all workers until one answers 200; who is late then is one that did not answer."""
        self._check_directory()
        tasks = {
            number: asyncio.create_task(self._ask(number, "GET", path, b"", seconds))
            for number in self.numbers
        }
        try:
            for answered in asyncio.as_completed(tasks.values()):
                if _is_well(await answered):
                    await asyncio.wait(tasks.values(), timeout=OTHERS_TIMEOUT)
                    break
            late = Unreachable("It has not answered yet.")
            return _present(
                (n, task.result() if task.done() else late) for n, task in tasks.items()
            )
        finally:
            for task in tasks.values():
                task.cancel()

    async def _ask(
        self, number: str, method: str, path: str, body: bytes, seconds: float
    ) -> Reply | Unreachable:
        address = Address(f"unix:{self._directory}/worker-{number}.sock")
        try:
            return await ask(address, method, path, body, seconds=seconds)
        except Unreachable as error:
            return error


class FrontHandler(AdminHandler):
    """Every URL: asks the workers and merges what they say."""

    def initialize(
        self,
        route: str,
        front: Front,
        methods: str,
        merge: Callable[["FrontHandler", Answers], None],
        seconds: float | None,
    ) -> None:
        """Take the workers, how their answers become one, and how long each has."""
        super().initialize(route)
        self.METHODS = (*methods.split(", "), "OPTIONS")
        self.front = front
        self.merge = merge
        self.seconds = seconds

    async def get(self) -> None:
        """Ask all workers what was asked here."""
        is_read = self.request.method in READS
        seconds = self.seconds or (READ_TIMEOUT if is_read else SWITCH_TIMEOUT)
        path = self.request.path
        if path == "/readyz":
            answers = await self.front.ask_until_well(path, seconds)
        else:
            method = "GET" if is_read else self.request.method or ""
            answers = await self.front.ask(method, path, bytes(self._body), seconds)
        if answers:
            self.merge(self, answers)
        else:
            self.refuse("not-live", 503, "No worker runs.")

    head = post = put = delete = get

    def live(self, answers: Answers) -> None:
        """Answer 200 if every worker that runs lives."""
        if failed := _failed(answers):
            self.refuse("not-live", 503, _sentences(failed), workers=_bodies(answers))
        else:
            self.answer({"status": "live", "workers": _bodies(answers)})

    def ready(self, answers: Answers) -> None:
        """Answer 200 if a worker is ready: the others take no connections from it."""
        failed = _failed(answers)
        if len(failed) == len(answers):
            self.refuse("not-ready", 503, _sentences(failed), workers=_bodies(answers))
        else:
            self.answer({"status": "ready", "workers": _bodies(answers)})

    def metrics(self, answers: Answers) -> None:
        """Answer with the samples of all workers, labelled with their numbers.

        Also of who does not run it is said that it is not up: else nothing could raise an alarm.
        """
        texts = {number: _text(answers.get(number)) for number in self.front.numbers}
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.set_header("Cache-Control", "no-store")
        self.write(merge_metrics(texts))

    def every(self, answers: Answers) -> None:
        """Answer with what each worker said; 502 if only some did a change that all were asked for."""
        failed = _failed(answers)
        if not failed or (self.request.method in READS and len(failed) < len(answers)):
            self.answer({"workers": _bodies(answers)})
            return
        statuses = {reply.status for reply in answers.values() if isinstance(reply, Reply)}
        if len(failed) == len(answers) and len(statuses) == 1:  # all say the same
            code, status = _code(next(iter(failed.values()))), statuses.pop()
        else:
            code, status = "workers-failed", HTTPStatus.BAD_GATEWAY
        self.refuse(code, status, _sentences(failed), workers=_bodies(answers))


def _route(
    path: str,
    merge: Callable[[FrontHandler, Answers], None],
    front: Front,
    methods: str,
    seconds: float | None = None,
) -> Route:
    arguments = {"front": front, "methods": methods, "merge": merge, "seconds": seconds}
    return Route(path, FrontHandler, arguments)


def _present(answers: Iterable[tuple[str, Reply | Unreachable]]) -> Answers:
    return {
        number: reply
        for number, reply in answers
        if not (isinstance(reply, Unreachable) and reply.is_absent)
    }


def _is_well(reply: Reply | Unreachable | None) -> bool:
    return isinstance(reply, Reply) and reply.status == HTTPStatus.OK


def _failed(answers: Answers) -> Answers:
    return {number: reply for number, reply in answers.items() if not _is_well(reply)}


def _bodies(answers: Answers) -> dict[str, object]:
    return {number: _body(reply) for number, reply in answers.items()}


def _body(reply: Reply | Unreachable) -> dict[str, object]:
    if isinstance(reply, Unreachable):
        return {"detail": str(reply)}
    try:
        body: dict[str, object] = json.loads(reply.body)
    except ValueError:
        return {"detail": "The answer is no JSON."}
    return body


def _sentences(failed: Answers) -> str:
    return " ".join(
        f"Worker {number}: {_body(reply).get('detail')}" for number, reply in failed.items()
    )


def _code(reply: Reply | Unreachable) -> str:
    return str(_body(reply).get("code", "workers-failed"))


def _text(reply: Reply | Unreachable | None) -> str | None:
    return reply.body.decode() if isinstance(reply, Reply) and _is_well(reply) else None

"""In charge of what the supervisor's children are: the workers, which share the listening sockets."""

import gc
import logging
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from springfield.opening import import_adapters
from springfield.server.admin_front import Fleet, run_front
from springfield.server.in_force import InForce
from springfield.server.listener import CannotListen, listening_unix
from springfield.server.loop import import_event_loop
from springfield.server.news import READY, Say
from springfield.server.serving import CannotStart, Plan, run_serving
from springfield.server.supervisor import Supervisor
from springfield.server.worker import Role, Times
from springfield.settings.table import Settings

log = logging.getLogger("springfield.server")

START_TIMEOUT = 60.0
"""Seconds for a worker to become ready, beside those that its stores may take to answer."""
STOP_RESERVE = 5.0
"""Seconds for a worker to stop, beside those of draining: stores are closed in them."""


def serve_with_workers(plan: Plan, announce: Callable[[], None]) -> int:
    """Serve with the workers that are wished for; return the exit code.

    Raises what keeps the workers from starting.
    """
    settings, sockets = plan.settings, plan.sockets
    _import_all(settings)
    with _runtime_directory() as directory:
        in_force = InForce(plan)
        roles = [
            Role(f"worker {slot}", partial(_work, in_force, directory, slot))
            for slot in range(settings.workers)
        ]
        if sockets.admin:
            fleet = Fleet(directory, settings.workers, settings.health_timeout)
            front = partial(_answer_for_all, sockets.admin, fleet)
            roles.append(Role("the admin front", front, is_last=True))
        times = Times(
            start=START_TIMEOUT + settings.store_timeout,
            stop=settings.drain_delay + settings.shutdown_timeout + STOP_RESERVE,
        )
        return Supervisor(roles, times, announce, sockets.close, in_force.heed).run()


def _work(in_force: InForce, directory: Path, slot: int, say: Say) -> None:
    """Be worker number `slot`, whose admin listener is where the front asks for it."""
    plan = replace(in_force.plan, is_worker=True, say=say)
    started = partial(say, READY)
    if not plan.sockets.admin:
        run_serving(plan, started)
        return
    # While a worker is replaced two processes have its number: the front asks the new one.
    with ExitStack() as stack:
        admin = []
        try:
            path = directory / f"worker-{slot}.sock"
            admin.append(stack.enter_context(listening_unix(path, takes_over=True)))
        except CannotListen as error:
            if directory.is_dir():
                raise CannotStart(str(error)) from error
            log.error(  # noqa: TRY400 - it is one sentence
                "worker %d is not seen at the admin address: %s is gone; restart the service",
                slot, directory,
            )  # fmt: skip
        run_serving(replace(plan, sockets=replace(plan.sockets, admin=admin)), started)


def _answer_for_all(sockets: Sequence[socket.socket], fleet: Fleet, say: Say) -> None:
    run_front(sockets, fleet, partial(say, READY))


def _import_all(settings: Settings) -> None:
    """Import what a worker will need, once for all; then a new one is there in a moment."""
    import_adapters(settings)
    import_event_loop()
    gc.collect()
    gc.freeze()  # a collection would write to every object, and so copy the memory that is shared


@contextmanager
def _runtime_directory() -> Iterator[Path]:
    """Make a directory that is this user's alone (mode 0700); raises CannotStart."""
    try:
        made = tempfile.TemporaryDirectory(prefix="springfield-")
    except OSError as error:
        raise CannotStart(
            f"No directory for temporary files can be written ({error.strerror or error}), and the "
            "workers need one; set TMPDIR."
        ) from error
    with made as directory:
        yield Path(directory)

"""In charge of one child process of the supervisor: its making, its news, and what it obeys.

A child is a fork of the supervisor, which has imported everything and has neither threads nor an
event loop. It is in a process group of its own, so that a terminal's signals do not reach it, and it
stops when its supervisor is gone, however that came to be.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

from springfield.errors import Misconfigured
from springfield.server.news import READY, Say
from springfield.server.serving import CannotStart

HEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)
"""What the supervisor takes."""

Work = Callable[[Say], None]
"""What a child does until a signal ends it. It says READY once, and then what else there is."""

_FAILED = b"failed "

log = logging.getLogger("springfield.server")


@dataclass(frozen=True, slots=True)
class Role:
    """What a child is for."""

    name: str
    """For people: "worker 0"."""
    work: Work
    is_last: bool = False
    """Whether it goes on until all others have stopped."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long children may take, in seconds."""

    start: float
    """Until they are ready."""
    stop: float
    """From the signal to their end."""


@dataclass(eq=False, slots=True)
class Worker:
    """A child, as the supervisor knows it."""

    role: Role
    pid: int
    news: int
    """The descriptor of the pipe that it says its news in: that it is ready, or why it cannot be."""
    until: float
    """When it is killed, unless it is ready by then, or has ended if it was told to; monotonic."""
    started: float = field(default_factory=time.monotonic)
    is_ready: bool = False
    is_stopping: bool = False
    _said: bytes = b""

    def listen(self) -> Sequence[str]:
        """Take what it says; return what is news beside that it is ready."""
        while data := self._read():
            self._said += data
        if self._said.startswith(_FAILED):
            return []
        *lines, self._said = self._said.split(b"\n")
        words = [line.decode() for line in lines]
        self.is_ready = self.is_ready or READY in words
        return [word for word in words if word != READY]

    def signal(self, number: int) -> None:
        """Send a signal. It is there, if only as a zombie, until the supervisor has waited for it."""
        os.kill(self.pid, number)

    def failure(self) -> Exception | None:
        """Return the error that it said it could not start for."""
        if not self._said.startswith(_FAILED):
            return None
        kind, _, sentence = self._said.removeprefix(_FAILED).decode().partition(" ")
        return Misconfigured(sentence) if kind == "Misconfigured" else CannotStart(sentence)

    def _read(self) -> bytes:
        try:
            return os.read(self.news, 65536)
        except BlockingIOError:
            return b""


def fork(role: Role, times: Times, lifeline: int, unwanted: Iterable[int]) -> Worker:
    """Start a child. Raises OSError where the system has no process or descriptor left.

    It stops when the other end of the pipe `lifeline` is closed; the supervisor's descriptors
    `unwanted` are closed in it.
    """
    sys.stdout.flush()  # or what is buffered would be written by both
    news, said = os.pipe()
    # Until the child has handlers of its own, a signal to it would be taken for the supervisor's.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
    try:
        pid = os.fork()
    except OSError:
        os.close(news)
        os.close(said)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    if pid == 0:
        mourn = partial(_mourn, lifeline, times.stop)
        _live(role, said, mourn, (*unwanted, news))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(said)
    os.set_blocking(news, False)
    return Worker(role, pid, news, time.monotonic() + times.start)


def _live(role: Role, said: int, mourn: Callable[[], None], unwanted: Iterable[int]) -> NoReturn:
    code = 1
    try:
        _leave_the_supervisor(unwanted)
        threading.Thread(target=mourn, daemon=True, name="lifeline").start()
        role.work(lambda words: _say(said, f"{words}\n".encode()))
        code = 0
    except (CannotStart, Misconfigured) as error:
        kind = "Misconfigured" if isinstance(error, Misconfigured) else "CannotStart"
        _say(said, _FAILED + f"{kind} {error}".encode())
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        log.exception("%s failed", role.name)
    finally:
        # What the supervisor has to do at its exit is not the child's business.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _leave_the_supervisor(unwanted: Iterable[int]) -> None:
    signal.set_wakeup_fd(-1)
    for number in HEEDED:
        signal.signal(number, signal.SIG_DFL)
    # SIGHUP until somebody here has a use for it; the others are nobody's business here.
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    os.setpgid(0, 0)
    # A reload that is wished for meanwhile waits until somebody here can do it: see `on_hangup`.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, set(HEEDED) - {signal.SIGHUP})
    for descriptor in unwanted:
        os.close(descriptor)
    os.environ.pop("NOTIFY_SOCKET", None)  # the supervisor alone speaks for the service


def _mourn(lifeline: int, timeout: float) -> None:
    os.read(lifeline, 1)  # nothing is ever written: it returns when the supervisor is gone
    log.error("the supervisor is gone: process %d stops", os.getpid())
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(timeout)
    os._exit(1)  # it hangs, and nobody else is left to see it


def _say(said: int, words: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):  # the supervisor is gone; see _mourn
        os.write(said, words)

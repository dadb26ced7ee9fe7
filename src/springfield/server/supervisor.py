"""In charge of keeping children alive: a supervisor that does nothing but signals and waitpid.

It binds and imports before, and serves nothing itself: what can break is in the children. A child
that ends is replaced, at once the first time and ever later when it ends again soon.
"""

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf

from springfield.server.alarm import Alarm
from springfield.server.news import RELOADED
from springfield.server.serving import CannotStart
from springfield.server.succession import Place
from springfield.server.systemd import notify, notify_ready, notify_reloading, notify_stopping
from springfield.server.worker import HEEDED, Role, Times, Worker, fork
from springfield.signals import has_terminal

PATIENCE_AT_START = 3
"""How often children may end before one was ever ready."""

log = logging.getLogger("springfield.server")


class Supervisor:
    """Runs a child for each role until a signal.

    SIGTERM and SIGINT are passed on and end it; a second one kills. SIGHUP is passed on, or
    ends it when a terminal is gone. SIGUSR2 replaces the children one by one, each by one that is ready.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        times: Times,
        ready: Callable[[], None],
        close: Callable[[], None],
        heed: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take what to run; `ready` is called once when all are, `close` when no more are started.

        `heed` is called with the news of every child; and before a reload is passed on, with RELOADED,
        so that who is started meanwhile has it.
        """
        # Asked now: when the terminal is gone, nobody can say that there was one. Under nohup(1)
        # SIGHUP stays ignored, as was wished.
        self._has_terminal = has_terminal()
        is_ignored = self._has_terminal and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._alarm = Alarm([each for each in HEEDED if each != signal.SIGHUP or not is_ignored])
        self._places = [Place(role) for role in roles]
        self._times = times
        self._ready = ready
        self._close = close
        self._heed = heed
        self._children: dict[int, Worker] = {}
        self._to_replace: deque[Place] = deque()
        self._was_one_ready = self._were_all_ready = False
        self._early_ends = 0
        self._ending: int | None = None  # the signal that ends it
        self._failed: Exception | None = None
        self._code = 0

    def run(self) -> int:
        """Run until a signal; return the exit code. Raises what keeps the children from starting."""
        self._lifeline, self._held = os.pipe()
        try:
            while not (self._ending or self._failed) or self._children:
                self._start_who_is_due()
                for number in self._sleep():
                    self._take(number)
                self._reap()
                self._look_after()
        finally:
            self._signal(signal.SIGKILL)
        if self._failed is not None:
            raise self._failed
        return self._code

    # What happens.

    def _take(self, number: int) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            if self._ending:
                self._signal(signal.SIGKILL)
                raise SystemExit(128 + number)  # somebody does not want to wait
            self._end(number)
        elif number == signal.SIGHUP and self._has_terminal:
            if not self._ending:  # the kernel and a shell send one each
                self._end(signal.SIGTERM)
        elif number == signal.SIGHUP:
            notify_reloading()
            self._heed(RELOADED)
            self._signal(number)
            notify_ready(self._status())
        elif number == signal.SIGUSR2 and self._were_all_ready and not self._ending:
            log.info("all processes are replaced, one by one")
            self._to_replace = deque(self._places)

    def _end(self, number: int) -> None:
        self._ending = number
        notify_stopping("Finishing what is in flight.")
        self._to_replace.clear()
        self._stop_all()
        # Now that nobody is started any more: who still holds the sockets takes what comes.
        self._close()

    def _stop_all(self) -> None:
        """Stop all; those that are the last ones only when no others are left."""
        others = [child for child in self._children.values() if not child.role.is_last]
        for child in others or self._children.values():
            if not child.is_stopping:
                self._stop(child, self._ending or signal.SIGTERM)

    def _stop(self, child: Worker, number: int) -> None:
        child.is_stopping = True
        child.until = time.monotonic() + self._times.stop
        child.signal(number)

    def _reap(self) -> None:
        """Take note of the children that have ended; orphans end up at process 1 of a container."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                child = self._children.pop(pid, None)
                if child is not None:
                    self._hear(child)
                    os.close(child.news)
                    self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: Worker, code: int) -> None:
        if self._ending or self._failed:
            if code and child.is_ready:
                log.error("%s (process %d) %s", child.role.name, child.pid, _how(code))
                self._code = 1
            self._stop_all()
            return
        place = next(each for each in self._places if each.role is child.role)
        if child is place.next:
            place.next = None
            self._to_replace.clear()
            why = child.failure() or f"it {_how(code)}"
            log.error("%s is not replaced, the old process goes on: %s", child.role.name, why)
        elif child is place.present:
            place.present = None
            self._replace_later(place, child, code)

    def _replace_later(self, place: Place, child: Worker, code: int) -> None:
        lived = time.monotonic() - child.started
        self._early_ends += not self._was_one_ready
        failure = child.failure()
        if not self._was_one_ready and (failure or self._early_ends >= PATIENCE_AT_START):
            self._failed = failure or CannotStart(
                f"The workers end again and again before they are ready (the last one {_how(code)}); "
                "the log above says why."
            )
            self._stop_all()
            return
        pause = place.schedule(lived)
        notify(f"STATUS={self._status()}")
        log.log(
            logging.ERROR if code else logging.INFO,  # with 0 it obeyed a signal, whoever sent it
            "%s (process %d) %s after %.1f s and is replaced in %.1f s%s",
            child.role.name, child.pid, _how(code), lived, pause, f": {failure}" if failure else "",
        )  # fmt: skip

    # What is to be done.

    def _start_who_is_due(self) -> None:
        if self._ending or self._failed:
            return
        now = time.monotonic()
        for place in self._places:
            if place.present is None and place.next is None and place.due <= now:
                place.present = self._start(place)
        is_busy = any(child.is_stopping or not child.is_ready for child in self._children.values())
        if self._to_replace and not is_busy:
            place = self._to_replace.popleft()
            if place.present is not None:  # else it is new anyway
                place.next = self._start(place)

    def _start(self, place: Place) -> Worker | None:
        unwanted = [
            self._held,
            *self._alarm.descriptors,
            *(child.news for child in self._children.values()),
        ]
        try:
            child = fork(place.role, self._times, self._lifeline, unwanted)
        except OSError as error:  # no processes or descriptors are left
            pause = place.schedule(0.0)
            log.error(  # noqa: TRY400 - it is one sentence
                "%s cannot be started (%s); the next try is in %.1f s",
                place.role.name, error.strerror, pause,
            )  # fmt: skip
            return None
        self._children[child.pid] = child
        return child

    def _look_after(self) -> None:
        """Take note of who is ready, and kill who takes too long."""
        for child in self._children.values():
            was_ready = child.is_ready
            self._hear(child)
            if child.is_ready and not was_ready:
                self._became_ready(child)
            if child.until < time.monotonic():
                what = "did not stop" if child.is_stopping else "was not ready"
                log.error(
                    "%s (process %d) %s in time and is killed", child.role.name, child.pid, what
                )
                child.until = inf
                child.signal(signal.SIGKILL)

    def _hear(self, child: Worker) -> None:
        for news in child.listen():
            self._heed(news)

    def _became_ready(self, child: Worker) -> None:
        self._was_one_ready = True
        if child.is_stopping:
            return
        child.until = inf
        for place in self._places:
            if place.next is child:
                place.next, old, place.present = None, place.present, child
                log.info("%s is process %d now", child.role.name, child.pid)
                if old is not None:
                    self._stop(old, signal.SIGTERM)
        are_all = all(
            place.present is not None and place.present.is_ready for place in self._places
        )
        if are_all and not self._were_all_ready:
            self._were_all_ready = True
            notify_ready(self._status())
            self._ready()
        elif self._were_all_ready:
            notify(f"STATUS={self._status()}")

    def _status(self) -> str:
        serving = sum(child.is_ready and not child.is_stopping for child in self._children.values())
        return f"{serving} of {len(self._places)} processes are serving."

    def _sleep(self) -> bytes:
        """Wait for signals, for news or until something is due; return the signals."""
        due = [place.due for place in self._places if place.present is None and place.next is None]
        until = min([child.until for child in self._children.values()] + due, default=inf)
        if self._ending or self._failed:
            until = min((child.until for child in self._children.values()), default=0.0)
        news = [child.news for child in self._children.values()]
        return self._alarm.wait(news, until - time.monotonic())

    def _signal(self, number: int) -> None:
        for child in self._children.values():
            child.signal(number)


def _how(code: int) -> str:
    """Say how a process ended."""
    if code < 0:
        return f"was killed by signal {-code} ({signal.strsignal(-code)})"
    return f"ended with exit code {code}"

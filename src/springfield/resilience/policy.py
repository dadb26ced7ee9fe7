"""In charge of the order in which policies wrap an operation. Knows neither the operation nor its store.

Contract
    `run` calls a method zero times, once, or as often as its retries allow, and returns or raises what
    the last call did. What was not tried is refused with `rejection`, whose `retry_after` says when
    to come again.

Order
    Outermost first: the caller's deadline; the total deadline; retry with its budget; breaker;
    bulkhead; attempt. An open breaker and a full bulkhead are never retried. Who has waited in the
    bulkhead's queue asks the breaker again.

Cancellation
    A cancelled caller gives its place back as soon as the method has ended, and is no failure of the
    dependency. At the caller's deadline it is answered, even if the method ends later.

Defaults
    `settings/resilience.py`. The attempt's deadline is the adapter's own, which knows what was sent;
    the total deadline is kept by not beginning what could not end in time. So neither costs a timer.

Rejected
    A decorator or a context manager a policy: 35 microseconds a call for tenacity or stamina, 6 for
    pyresilience, against 2 here; see docs/decisions/0010-resilience.md.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar

from springfield.errors import OutcomeUnknown, SpringfieldError, Unavailable, UpstreamError
from springfield.observability.events import BreakerChanged, CallRejected, CallRetried, Events
from springfield.resilience.breaker import Breaker, State
from springfield.resilience.bulkhead import Bulkhead, BulkheadFull
from springfield.resilience.deadline import DeadlinePassed, deadline, within
from springfield.resilience.retry import Retry

P = ParamSpec("P")
T = TypeVar("T")

_FAILURES = (Unavailable, OutcomeUnknown, UpstreamError)
"""What says that a dependency did not answer. Any other of our errors is an answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of a policy; times are seconds."""

    attempt_timeout: float
    """What an attempt may take; the operation itself keeps it."""
    call_timeout: float
    """What a call may take with its retries and its wait in the queue."""
    attempts: int
    retry_budget: float
    """Retries a call, at most, over all calls."""
    breaker_failures: int
    breaker_cooldown: float
    concurrency: int
    """Calls at the same time."""
    queue_limit: int
    queue_timeout: float


@dataclass(frozen=True, slots=True)
class Operation:
    """A kind of call."""

    name: str
    is_write: bool = False
    is_stream: bool = False
    """It takes as long as its client sends: it is not repeated and takes no place."""


class Progress:
    """How far one call has come."""

    __slots__ = ("is_sent",)

    def __init__(self) -> None:
        self.is_sent = False
        """Whether a write may have happened. A stream says it itself, when all of it is sent."""


class Observer(Protocol):
    """Who is told of each attempt; `started` is `time.monotonic()`."""

    def __call__(
        self, operation: str, size: int, started: float, error: BaseException | None
    ) -> None:
        """Take note that an attempt ended."""
        ...


class Policy:
    """What stands between the service and one dependency. `label` is for people: "Redis (marges)"."""

    def __init__(
        self,
        name: str,
        label: str,
        limits: Limits,
        *,
        events: Events,
        observe: Observer,
        rejection: Callable[..., SpringfieldError] = Unavailable,
        repeatable: tuple[type[SpringfieldError], ...] = (Unavailable,),
    ) -> None:
        self.name = name
        self.label = label
        self.limits = limits
        self.breaker = Breaker(
            limits.breaker_failures, limits.breaker_cooldown, self._breaker_changed
        )
        self.bulkhead = Bulkhead(limits.concurrency, limits.queue_limit)
        self.retry = Retry(limits.attempts, limits.retry_budget, repeatable)
        self._events = events
        self._observe = observe
        self._rejection = rejection
        self._late: set[asyncio.Task[Any]] = set()

    def adjust(self, limits: Limits) -> None:
        """Take other numbers from now on; what runs and who waits go on."""
        self.limits = limits
        self.breaker.failures = limits.breaker_failures
        self.breaker.cooldown = limits.breaker_cooldown
        self.bulkhead.resize(limits.concurrency, limits.queue_limit)
        self.retry.attempts = limits.attempts
        self.retry.budget.ratio = limits.retry_budget

    def run(
        self,
        operation: Operation,
        size: int,
        method: Callable[..., Awaitable[T]],
        *args: Any,
        progress: Progress | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Call `method` under the policy. `size`: how many names it is about.

        Raises what the method raises; `rejection` when nothing was done: it was not tried (with
        `retry_after`), or the caller's deadline passed (`slow`); OutcomeUnknown when that passed and a
        write may have been sent.
        """
        until = deadline.get()
        if until is None:
            return self._call(operation, size, progress, method, args)
        progress = progress or Progress()
        call = partial(self._call, operation, size, progress, method, args)
        return self._in_time(until, operation, progress, call)

    def run_at_once(
        self, operation: Operation, size: int, method: Callable[..., T | None], *args: Any
    ) -> T | None:
        """Call a `method` that answers at once, or returns None where it cannot.

        Then, and where somebody waits in the queue, nothing was done or told: `run` has the next word.
        Raises what `method` raises; `rejection` when the breaker is open.
        """
        if deadline.get() is not None or not self.bulkhead.enter_at_once():
            return None
        result = None
        try:
            ticket = self._admit()
            started = time.monotonic()
            try:
                result = method(*args)
            finally:
                if result is None:
                    self.breaker.abandon(ticket)
        finally:
            self.bulkhead.leave()
        if result is None:
            return None
        self.breaker.succeed(ticket)
        self._observe(operation.name, size, started, None)
        return result

    async def close(self) -> None:
        """Wait for what was cancelled and has not ended; its adapter bounds it."""
        if self._late:
            await asyncio.wait(self._late, timeout=2 * self.limits.attempt_timeout)

    async def _in_time(
        self,
        until: float,
        operation: Operation,
        progress: Progress,
        call: Callable[[], Awaitable[T]],
    ) -> T:
        try:
            return await within(until, self._late, call)
        except DeadlinePassed as error:
            if operation.is_write and progress.is_sent:
                raise OutcomeUnknown(
                    f"{self.label} did not confirm the write within the caller's deadline; it may have "
                    "happened or may happen yet.",
                    slow=True,
                ) from error
            raise self._rejection(
                f"{self.label} did not answer within the caller's deadline; nothing was done.",
                slow=True,
            ) from error

    async def _call(
        self,
        operation: Operation,
        size: int,
        progress: Progress | None,
        method: Callable[..., Awaitable[T]],
        args: tuple[Any, ...],
    ) -> T:
        latest = time.monotonic() + self.limits.call_timeout - self.limits.attempt_timeout
        attempt = 1
        while True:
            ticket = self._admit()
            if not operation.is_stream and not self.bulkhead.enter_at_once():
                ticket = await self._queue(ticket, latest)
            if attempt == 1:
                self.retry.budget.deposit()
            started = time.monotonic()
            if progress is not None and not operation.is_stream:
                progress.is_sent = True
            try:
                result = await method(*args)
            except BaseException as error:
                self._failed(operation, size, started, ticket, error)
                left = 0.0 if operation.is_stream else latest - time.monotonic()
                pause = self.retry.pause_after(error, attempt, left)
                if pause is None:
                    raise
                failure = error
            else:
                if not operation.is_stream:
                    self.bulkhead.leave()
                self.breaker.succeed(ticket)
                self._observe(operation.name, size, started, None)
                return result
            self._events.publish(CallRetried(self.name, operation.name, attempt, pause, failure))
            if progress is not None:
                progress.is_sent = False  # the failure proves it
            await asyncio.sleep(pause)
            attempt += 1

    def _failed(
        self,
        operation: Operation,
        size: int,
        started: float,
        ticket: int,
        error: BaseException,
    ) -> None:
        if not operation.is_stream:
            self.bulkhead.leave()
        if isinstance(error, _FAILURES):
            self.breaker.fail(ticket, started, error)
        elif isinstance(error, SpringfieldError):
            self.breaker.succeed(ticket)
        else:
            self.breaker.abandon(ticket)
        self._observe(operation.name, size, started, error)

    def _admit(self) -> int:
        ticket = self.breaker.admit()
        if ticket is None:
            self._events.publish(CallRejected(self.name, "breaker"))
            raise self._rejection(
                f"{self.label} has not answered for a while and is not asked now; nothing was "
                "done. Try again later.",
                retry_after=self.breaker.retry_after,
            )
        return ticket

    async def _queue(self, ticket: int, latest: float) -> int:
        """Wait for a place; return the ticket to begin with."""
        seconds = min(self.limits.queue_timeout, latest - time.monotonic())
        try:
            await self.bulkhead.enter(seconds)
        except BulkheadFull as error:
            self.breaker.abandon(ticket)
            self._events.publish(CallRejected(self.name, "bulkhead"))
            raise self._rejection(
                f"Too many requests wait for {self.label}; nothing was done. Try again later."
            ) from error
        except BaseException:
            self.breaker.abandon(ticket)
            raise
        if self.breaker.is_valid(ticket):
            return ticket
        try:
            return self._admit()
        except BaseException:
            self.bulkhead.leave()
            raise

    def _breaker_changed(self, state: State, error: BaseException | None) -> None:
        self._events.publish(BreakerChanged(self.name, state, error))


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something outside of the process that is asked, with the policy that stands before it."""

    name: str
    product: str
    policy: Policy

    def as_dict(self) -> dict[str, object]:
        """Return its state for JSON; may be called on any thread."""
        policy = self.policy
        return {
            "dependency": self.name,
            "product": self.product,
            "state": str(policy.breaker.state),
            "retry_after": round(policy.breaker.retry_after, 3),
            "in_use": policy.bulkhead.in_use,
            "places": policy.bulkhead.limit,
            "queued": policy.bulkhead.queued,
            "retries_saved": round(policy.retry.budget.balance, 1),
        }

import pytest

from springfield.resilience.breaker import Breaker, State

DOWN = OSError("down")


class Bench:
    """A breaker of three failures and ten seconds, with its clock and what it told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[tuple[State, BaseException | None]] = []
        self.breaker = Breaker(3, 10, lambda *change: self.told.append(change), lambda: self.now)

    def is_now(self, state: State) -> bool:
        return self.breaker.state is state

    def calls(self, count: int = 1, *, took: float = 0.5) -> None:
        """Fail some calls, one after the other."""
        for _ in range(count):
            ticket = self.breaker.admit()
            assert ticket is not None
            began = self.now
            self.now += took
            self.breaker.fail(ticket, began, DOWN)

    def opened(self) -> "Bench":
        self.calls(3)
        assert self.is_now(State.OPEN)
        return self

    def probe(self) -> int:
        self.now += 10
        ticket = self.breaker.admit()
        assert ticket is not None
        return ticket


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_opens_after_failures_in_a_row_and_says_why(bench: Bench) -> None:
    bench.calls(2)
    assert bench.told == []
    bench.calls()
    assert bench.told == [(State.OPEN, DOWN)]
    assert bench.breaker.admit() is None
    bench.now += 4
    assert bench.breaker.retry_after == 6


def test_a_success_between_failures_keeps_it_closed(bench: Bench) -> None:
    for _ in range(5):
        bench.calls(2)
        ticket = bench.breaker.admit()
        assert ticket is not None
        bench.breaker.succeed(ticket)
    assert bench.is_now(State.CLOSED)


def test_many_connections_that_break_in_one_moment_are_no_outage(bench: Bench) -> None:
    bench.calls(100, took=0.001)
    assert bench.is_now(State.CLOSED)
    bench.now += 1
    bench.calls()
    assert bench.is_now(State.OPEN)


def test_calls_that_were_never_answered_count_from_their_beginning(bench: Bench) -> None:
    tickets = [bench.breaker.admit() for _ in range(3)]
    bench.now = 2
    for ticket in tickets:
        assert ticket is not None
        bench.breaker.fail(ticket, 0, DOWN)
    assert bench.is_now(State.OPEN)


def test_half_open_it_lets_one_probe_through_and_its_success_closes(bench: Bench) -> None:
    probe = bench.opened().probe()
    assert bench.is_now(State.HALF_OPEN)
    assert bench.breaker.admit() is None
    bench.breaker.succeed(probe)
    assert [state for state, _ in bench.told] == [State.OPEN, State.HALF_OPEN, State.CLOSED]
    assert bench.breaker.admit() is not None
    assert bench.breaker.retry_after == 0


def test_a_probe_that_fails_opens_it_again(bench: Bench) -> None:
    probe = bench.opened().probe()
    bench.breaker.fail(probe, bench.now, DOWN)
    assert bench.is_now(State.OPEN)
    assert bench.breaker.admit() is None
    assert bench.breaker.retry_after == 10


def test_a_cancelled_probe_makes_room_for_the_next(bench: Bench) -> None:
    bench.breaker.abandon(bench.opened().probe())
    probe = bench.breaker.admit()
    assert probe is not None
    assert bench.breaker.admit() is None
    bench.breaker.succeed(probe)
    assert bench.is_now(State.CLOSED)


def test_a_probe_that_never_ends_is_replaced_and_its_late_end_is_no_news(bench: Bench) -> None:
    lost = bench.opened().probe()
    second = bench.probe()
    bench.breaker.fail(lost, 0, DOWN)
    assert bench.is_now(State.HALF_OPEN)
    bench.breaker.succeed(second)
    assert bench.is_now(State.CLOSED)


def test_what_began_before_it_opened_says_nothing_of_afterwards(bench: Bench) -> None:
    early = bench.breaker.admit()
    assert early is not None
    bench.opened()
    bench.breaker.succeed(early)
    assert bench.is_now(State.OPEN)
    probe = bench.probe()
    bench.breaker.fail(early, 0, DOWN)
    assert bench.is_now(State.HALF_OPEN)
    bench.breaker.succeed(probe)


def test_a_cancelled_call_is_neither_failure_nor_success(bench: Bench) -> None:
    bench.calls(2)
    ticket = bench.breaker.admit()
    assert ticket is not None
    bench.breaker.abandon(ticket)
    bench.calls()
    assert bench.is_now(State.OPEN)

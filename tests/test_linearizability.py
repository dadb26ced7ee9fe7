"""The checker itself: it takes what is right and finds what is wrong."""

import math

from tests.linearizability import ABSENT, Operation, violations


def read(value: str | None, began: float, ended: float) -> Operation:
    return Operation("x", "read", began, ended, value)


def write(value: str, began: float, ended: float) -> Operation:
    return Operation("x", "write", began, ended, value)


def swap(expected: str | None, value: str, began: float, ended: float, *, won: bool) -> Operation:
    return Operation("x", "swap", began, ended, value, expected, won)


def test_overlapping_operations_may_take_effect_in_either_order() -> None:
    assert violations([write("a", 0, 10), read("a", 1, 2), read("a", 3, 4)]) == []
    assert violations([write("a", 0, 10), read(ABSENT, 1, 2), read("a", 3, 4)]) == []
    assert violations([write("a", 0, 5), write("b", 0, 5), read("a", 6, 7)]) == []


def test_a_stale_read_is_found() -> None:
    assert violations([write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)]) == ["x"]


def test_a_read_that_goes_back_in_time_is_found() -> None:
    assert violations([write("a", 0, 10), read("a", 1, 2), read(ABSENT, 3, 4)]) == ["x"]


def test_two_winners_of_one_swap_are_found() -> None:
    history = [write("a", 0, 1), swap("a", "b", 2, 5, won=True), swap("a", "c", 2, 5, won=True)]
    assert violations(history) == ["x"]


def test_a_lost_write_is_found() -> None:
    assert violations([write("a", 0, 1), read(ABSENT, 2, 3)]) == ["x"]


def test_a_swap_that_says_that_it_lost_and_was_done_is_found() -> None:
    history = [write("a", 0, 1), swap("a", "b", 2, 3, won=False), read("b", 4, 5)]
    assert violations(history) == ["x"]


def test_an_unknown_write_may_have_happened_or_not_or_happen_late() -> None:
    unknown = write("a", 0, math.inf)
    assert violations([unknown, read("a", 1, 2)]) == []
    assert violations([unknown, read(ABSENT, 1, 2)]) == []
    assert violations([unknown, read(ABSENT, 1, 2), read("a", 3, 4)]) == []
    assert violations([unknown, read("a", 1, 2), read(ABSENT, 3, 4)]) == ["x"]


def test_names_are_registers_of_their_own() -> None:
    other = Operation("y", "read", 2, 3, "a")
    assert violations([write("a", 0, 1), other]) == ["y"]

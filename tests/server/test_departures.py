import asyncio

from springfield.server.engine.departures import Departures


class Answer:
    def __init__(self, name: str, left: list[str]) -> None:
        self._name = name
        self._left = left

    def leave(self) -> None:
        self._left.append(self._name)


async def turn(departures: Departures, *answers: Answer) -> list[bool]:
    """Give answers in one turn of the loop; return which of them were to wait for its end."""
    gathered = []
    for answer in answers:
        gathered.append(departures.are_gathered())
        if gathered[-1]:
            departures.add(answer)
    await asyncio.sleep(0)
    return gathered


async def test_answers_of_one_turn_leave_together_and_in_order() -> None:
    left: list[str] = []
    departures = Departures()
    departures.add(Answer("a", left))
    departures.add(Answer("b", left))
    assert left == []
    await asyncio.sleep(0)
    assert left == ["a", "b"]


async def test_a_lone_client_soon_has_its_answers_at_once() -> None:
    departures, answer = Departures(), Answer("a", [])
    gathered = [(await turn(departures, answer))[0] for _ in range(100)]
    assert gathered[:4] == [True] * 4
    assert 2 <= sum(gathered[4:]) <= 10


async def test_a_second_client_is_noticed_within_a_few_answers() -> None:
    departures = Departures()
    a, b = Answer("a", []), Answer("b", [])
    for _ in range(50):
        await turn(departures, a)
    for turns in range(100):  # noqa: B007
        if await turn(departures, a, b, a, b) == [True] * 4:
            break
    assert turns < 10

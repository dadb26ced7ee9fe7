"""Expired rows are removed in the background, on a real store."""

import asyncio
from pathlib import Path

import apsw
import pytest

from springfield.errors import Unavailable
from springfield.model import Item, Kind, Name
from springfield.stores import sweeper
from springfield.stores.sqlite.adapter import open_store
from springfield.stores.store import StoreOptions


async def test_expired_rows_are_removed_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "PAUSE", 0.05)
    path = tmp_path / "springfield.db"
    async with open_store(f"sqlite://{path}", StoreOptions("things", Kind.TEXT)) as store:
        mortal = {Name(f"n{number}"): Item(b"x", ttl=1) for number in range(700)}
        await store.write({**mortal, Name("stays"): Item(b"x"), Name("later"): Item(b"x", ttl=99)})
        shell = apsw.Connection(str(path))
        async with sweeper.sweeping([store]), asyncio.timeout(20):
            while list(shell.execute("SELECT count(*) FROM things")) != [(2,)]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert await store.names("", None, 10) == ["later", "stays"]
        shell.close()


class Failing:
    def __init__(self) -> None:
        self.sweeps = 0

    async def sweep(self) -> int:
        self.sweeps += 1
        raise Unavailable("Down.")


async def test_a_store_that_is_down_is_looked_at_again_and_errors_pass_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeper, "PAUSE", 0.01)
    failing = Failing()
    with pytest.raises(ValueError, match="ours"):
        await sweep_until_ours(failing)
    assert failing.sweeps >= 3


async def sweep_until_ours(failing: Failing) -> None:
    async with sweeper.sweeping([failing]), asyncio.timeout(10):
        while failing.sweeps < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        raise ValueError("ours")

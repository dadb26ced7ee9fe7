import asyncio
import gc
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

import pytest

from springfield import resources
from springfield.model import Item, Kind, Name
from springfield.offloading import LARGE, compute
from springfield.stores.coalesced import Coalesced
from springfield.stores.store import Adapter


async def test_what_is_small_is_computed_at_once() -> None:
    assert await compute(LARGE, threading.current_thread) is threading.current_thread()


async def test_the_loop_turns_while_something_large_is_computed() -> None:
    turned = threading.Event()

    def call() -> tuple[bool, bool]:
        return turned.wait(10), gc.isenabled()

    computing = asyncio.create_task(compute(LARGE + 1, call))
    await asyncio.sleep(0)
    turned.set()
    assert await computing == (True, False)
    assert gc.isenabled()


async def test_an_error_comes_back_and_collections_go_on() -> None:
    with pytest.raises(ZeroDivisionError):
        await compute(LARGE + 1, lambda: 1 / 0)
    assert gc.isenabled()


class _Memory:
    verbatim = True

    def __init__(self) -> None:
        self.items: dict[Name, Item] = {}

    async def read(self, names: Collection[Name]) -> Mapping[Name, Item]:
        return {name: self.items[name] for name in names if name in self.items}

    async def write(self, items: Mapping[Name, Item]) -> Mapping[Name, str]:
        self.items.update(items)
        return {name: item.entity_tag for name, item in items.items()}

    async def swap(self, name: Name, expected: Item | None, new: Item) -> Any:
        del expected
        self.items[name] = new
        return resources.Written(new.entity_tag, is_verbatim=True)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """In which threads JSON is read."""
    seen = set[str]()

    def watched(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            seen.add(threading.current_thread().name)
            return work(*arguments)

        return call

    for work in ("check_content", "check_stored", "parse_json", "merge_patch"):
        monkeypatch.setattr(resources, work, watched(getattr(resources, work)))
    return seen


@pytest.mark.parametrize(("size", "where"), [(10, "MainThread"), (LARGE, "large-json_0")])
async def test_large_json_is_read_off_the_loop(threads: set[str], size: int, where: str) -> None:
    homers = resources.Collection(
        "homers", Kind.JSON, Coalesced(cast("Adapter", _Memory()), "homers"), 1024 * 1024
    )
    content = b'{"a":"' + b"x" * size + b'"}'
    await homers.put("homer", content)
    await homers.get("homer")
    await homers.patch("homer", content)
    assert threads == {where}

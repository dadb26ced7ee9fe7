"""The table of docs/reference/promises.md: no hole in it, and its round trips are counted."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from springfield.model import Item, Kind, Name, Precondition
from springfield.resources import Collection
from springfield.stores.catalog import PRODUCTS, open_store
from springfield.stores.coalesced import Coalesced
from springfield.stores.store import StoreOptions
from tests.faults import FaultyProxy

PAGE = Path(__file__).parents[2] / "docs/reference/promises.md"
TIMES = 40
BESIDE = TIMES // 4
"""Round trips that drivers make by themselves, such as asking MongoDB how it is."""


def table() -> dict[str, dict[str, str]]:
    """Return the cells by promise and product."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head, rule, *promises = rows
    assert set(rule) == {"---"}
    assert all(len(row) == len(head) for row in promises)
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in promises}


def trips(promise: str, product: str) -> int:
    """Return how many round trips the table says that a promise costs on a product."""
    row = next(row for name, row in table().items() if name.startswith(promise))
    cell = next(cell for head, cell in row.items() if PRODUCTS[product] in head)
    counts = re.fullmatch(r".*; (\d)(?: \+ (\d))?", cell)
    assert counts is not None, cell
    return sum(int(count) for count in counts.groups("0"))


def test_every_store_has_a_column_and_every_cell_says_something() -> None:
    rows = table()
    assert len(rows) > 8
    for row in rows.values():
        for product in PRODUCTS.values():
            assert sum(product in head for head in row) == 1
        assert all(row.values())
        assert next(iter(row.values())) != "likewise"  # it would be like the promise's name


@pytest.mark.parametrize("product", ["mongodb", "redis", "mysql"])
async def test_a_promise_costs_the_round_trips_that_the_table_says(
    product: str, request: pytest.FixtureRequest
) -> None:
    url = urlsplit(request.getfixturevalue(f"{product}_server").url)
    assert url.hostname is not None
    assert url.port is not None
    with FaultyProxy(url.hostname, url.port) as proxy:
        netloc = url.netloc.replace(f"{url.hostname}:{url.port}", f"127.0.0.1:{proxy.port}")
        place = {"mongodb": "collection=trips", "redis": "prefix=trips:", "mysql": "table=trips"}
        query = "&".join(filter(None, (url.query, place[product])))
        options = StoreOptions("lisas", Kind.TEXT, pool_size=1)
        async with open_store(url._replace(netloc=netloc, query=query).geturl(), options) as store:
            await store.prepare()
            items = Collection("lisas", Kind.TEXT, Coalesced(store, "lisas"), 1000)
            name = "n"
            tag = (await items.put(name, b"0")).entity_tag

            before = proxy.round_trips
            for _ in range(TIMES):
                await store.read([Name(name), Name("m")])
            assert_cost(proxy.round_trips - before, trips("read", product))

            before = proxy.round_trips
            for number in range(TIMES):
                await store.write({Name(name): Item(b"%d" % number), Name("m"): Item(b"m")})
            assert_cost(proxy.round_trips - before, trips("unconditional write", product))

            tag = (await items.put(name, b"0")).entity_tag
            before = proxy.round_trips
            for number in range(1, TIMES + 1):
                condition = Precondition(match=(tag,))
                tag = (await items.put(name, b"%d" % number, condition)).entity_tag
            assert_cost(proxy.round_trips - before, trips("conditional write", product))


def assert_cost(counted: int, expected: int) -> None:
    assert expected
    assert TIMES * expected <= counted <= TIMES * expected + BESIDE

"""In charge of what the parts of the contract share: places, nasty names, contents, small calls."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from springfield.errors import SpringfieldError
from springfield.model import Item, Kind, Name
from springfield.stores.store import Adapter, StoreOptions

MEBIBYTE = 1024 * 1024
OpenStore = Callable[[str, StoreOptions], AbstractAsyncContextManager[Adapter]]


@dataclass(frozen=True)
class Place:
    """Where one test keeps its items, and the same store broken in two ways."""

    open_store: OpenStore
    url: str
    """A place that holds nothing yet."""
    down_url: str
    """Nothing answers there, at once."""
    silent_url: str
    """It takes calls and never answers them."""
    timeout: float = 2.0
    refused_names: Mapping[str, type[SpringfieldError]] = field(default_factory=dict)
    """By id of `NAMES`: what this store cannot keep apart or whole."""
    refused_json: frozenset[str] = frozenset()
    """By id of `DOCUMENTS`: what this store cannot hold exactly."""
    expires: bool = True
    """Whether this store can expire items; one that cannot refuses lifetimes."""
    has_pool: bool = True
    """Whether it tells of its pool; a wrapper does not, and SQLite has none."""
    race_steps: int = 25
    """Steps of each counter in a race; fewer where losers wait long."""


NAMES = {
    "plain": "homer",
    "space": "homer jay simpson",
    "slash": "evergreen/terrace/742",
    "two-slashes": "a//b",
    "first-slash": "/rooted",
    "last-slash": "folder/",
    "percent": "100%25",
    "quotes": 'O\'Brien "Duff" `Man`',
    "backslash": "C:\\doh\\%_",
    "emoji": "🍩",
    "nfc": "caf\u00e9",
    "nfd": "cafe\u0301",
    "upper": "LISA",
    "lower": "lisa",
    "trailing-space": "lisa ",
    "trailing-two-spaces": "lisa  ",
    "leading-space": " lisa",
    "leading-dot": ".hidden",
    "dot": ".",
    "dots": "..",
    "dot-segment": "a/../b",
    "question": "who?what#why&how=1+1",
    "glob": "a*b?[c]^$",
    "dollar": "$set",
    "dotted": "a.b.c",
    "accent-pair": "resume",
    "accent-pair-accented": "résumé",
    "sharp-s": "straße",
    "double-s": "strasse",
    "astral": "\U00010348",
    "private-use": "\uffee",
    "one-byte": "x",
    "longest": "n" * 512,
    "longest-wide": "🍩" * 128,
}

DOCUMENTS = {
    "key-order": '{"z":1,"a":2,"m":{"y":1,"b":2}}',
    "unicode": '{"é":"🍩 \\u0001 \u2028","":""}',
    "nested": '[[1,[2,[3,{"a":[]}]]],{},[]]',
    "int64": "[9223372036854775807,-9223372036854775808,2147483648,-2147483649,0]",
    "floats": "[0.1,1.0,-0.0,1e-320,1.7976931348623157e+308,123456789.123456789]",
    "scalars": '[true,false,null,"",0]',
    "dollar-keys": '{"$set":{"$a":1},"$literal":"$b","$$ROOT":[{"$inc":5}]}',
    "extended-json-key": '[{"$date":"x"}]',
    "dotted-keys": '{"a.b":{"c.d":1},".":2}',
    "string": '"$content"',
    "null": "null",
    "number": "42",
    "big-integer": "[18446744073709551616]",
    "huge-float": "[1e400]",
    "nul-key": '{"a\\u0000b":1}',
    "nul-string": '["a\\u0000b"]',
    "name-key": '{"_id":1,"name":"x","content":{"content":1}}',
    "depth-100": "[" * 100 + "]" * 100,
}

ALL_BYTES = bytes(range(256))


def content(kind: Kind, label: str) -> bytes:
    """Give content of this kind that shows which label it was made for."""
    if kind is Kind.JSON:
        return json.dumps({"label": label}, ensure_ascii=False, separators=(",", ":")).encode()
    return label.encode() + (ALL_BYTES if kind is Kind.BYTES else " é🍩\n".encode())


def exactly(text: bytes) -> Any:
    """Parse JSON so that order, int against float, and the sign of zero all count."""
    return repr(json.loads(text, object_pairs_hook=list))


async def read_item(store: Adapter, name: str) -> Item:
    found = (await store.read([Name(name)]))[Name(name)]
    assert isinstance(found, Item), found
    return found


async def read_one(store: Adapter, name: str) -> bytes | None:
    found = (await store.read([Name(name)])).get(Name(name))
    if isinstance(found, SpringfieldError):
        raise found
    return None if found is None else found.content


async def write_one(store: Adapter, name: str, value: bytes) -> None:
    await write_all(store, {name: value})


async def write_all(store: Adapter, values: Mapping[str, bytes]) -> None:
    outcomes = await store.write({Name(name): Item(value) for name, value in values.items()})
    assert all(isinstance(outcome, str) for outcome in outcomes.values()), outcomes
    assert set(outcomes) == set(values)


def refusals(outcomes: Mapping[Name, str | SpringfieldError]) -> dict[Name, SpringfieldError]:
    """Give what a write did not do."""
    return {name: each for name, each in outcomes.items() if isinstance(each, SpringfieldError)}


async def all_names(store: Adapter, prefix: str = "", page: int = 1000) -> list[str]:
    names: list[Name] = []
    while True:
        found = await store.names(prefix, names[-1] if names else None, page)
        names += found
        if len(found) < page:
            return list(names)

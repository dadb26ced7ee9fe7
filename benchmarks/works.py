"""In charge of the work that is measured: routes, names, values, and what an answer must be.

The load generator, the seeding and the report all take it from here, so that what was stored, what
is asked for and what counts as right cannot differ.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

NAMES = 10_000
"""How many names are drawn from, uniformly."""
SMALL, LARGE = 100, 10 * 1024
"""Sizes of values in bytes."""
GREETING = b"Hi-dilly-ho, neighborino!"
KIB, MIB = 1024, 1024 * 1024

StoreName = Literal["none", "redis", "mongodb", "mysql", "embedded", "s3"]


@dataclass(frozen=True, slots=True)
class Work:
    """One route and what is done with it."""

    key: str
    title: str
    store: StoreName
    path: str
    """What comes before the name; the whole path where there are no names."""
    is_write: bool = False


WORKS = {
    work.key: work
    for work in (
        Work("greeting", "greeting", "none", "/api/v1/flanders"),
        Work("redis-read", "Redis read", "redis", "/api/v1/marges/"),
        Work("redis-write", "Redis write", "redis", "/api/v1/marges/", is_write=True),
        Work("mongodb-read", "MongoDB read", "mongodb", "/api/v1/homers/"),
        Work("mongodb-write", "MongoDB write", "mongodb", "/api/v1/homers/", is_write=True),
        Work("mysql-read", "MySQL read", "mysql", "/api/v1/lisas/"),
        Work("mysql-write", "MySQL write", "mysql", "/api/v1/lisas/", is_write=True),
        Work("embedded-read", "embedded read", "embedded", "/api/v1/donuts/"),
        Work(
            "embedded-write", "embedded durable write", "embedded", "/api/v1/donuts/", is_write=True
        ),
        Work("s3-read", "S3 object", "s3", "/api/v1/photos/"),
    )
}


@dataclass(frozen=True, slots=True)
class Case:
    """One cell of the benchmark: a work under a load."""

    work: str
    connections: int = 64
    size: int = SMALL
    """Bytes of a value."""
    names: int = NAMES
    """How many names are drawn from; 1 is the hot name."""

    @property
    def title(self) -> str:
        """For people."""
        if self.work == "greeting":
            return f"greeting, {self.connections} connections"
        names = "a hot name" if self.names == 1 else f"{self.names:,} names"
        if self.work.startswith("s3"):
            names = "one object"
        return (
            f"{WORKS[self.work].title}, {readable(self.size)}, {names}, "
            f"{self.connections} connections"
        )


def readable(size: int) -> str:
    """Return a size for people."""
    if size % MIB == 0:
        return f"{size // MIB} MiB"
    return f"{size // KIB} KiB" if size % KIB == 0 else f"{size} bytes"


def name_of(size: int, number: int) -> str:
    """Return the name of an item; each size has names of its own."""
    return f"n{size}-{number:07}"


def value_of(name: str, size: int) -> bytes:
    """Return what is stored under the name: no two names hold the same."""
    start = f"{name} is stored here ".encode()
    return (start * (min(size, 200) // len(start) + 1)).ljust(size, b".")[:size]


def document_of(name: str, size: int) -> dict[str, str]:
    """Return the JSON value that is stored under the name; as text it is of about this size."""
    empty = len('{"name": "", "text": ""}') + len(name)
    return {"name": name, "text": value_of(name, max(size - empty, 1)).decode()}


def body_of(work: Work, name: str, size: int) -> bytes:
    """Return what a write sends."""
    if work.store == "mongodb":
        return json.dumps(document_of(name, size)).encode()
    return value_of(name, size)


def is_right(case: Case) -> Callable[[str, bytes], bool]:
    """Return what tells whether a body is the right answer to a read of the name."""
    work, size = WORKS[case.work], case.size
    if work.store == "none":
        return lambda _, body: body == GREETING
    if work.store == "mongodb":
        return lambda name, body: _is_document(body, document_of(name, size))
    return lambda name, body: body == value_of(name, size)


def _is_document(body: bytes, document: dict[str, str]) -> bool:
    return body == json.dumps(document, separators=(",", ":")).encode() or (
        json.loads(body) == document
    )

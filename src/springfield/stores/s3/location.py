"""In charge of what an ``s3:`` URL says: bucket, key, and how they are asked for."""

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args
from urllib.parse import unquote, urlsplit

from springfield.errors import Misconfigured
from springfield.stores.url import redact, refuse_unknown_parameters, take_parameters

_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}")
Addressing = Literal["auto", "path", "virtual"]
ClientName = Literal["boto3", "obstore"]
_CHOICES = {"addressing": get_args(Addressing), "client": get_args(ClientName)}


@dataclass(frozen=True, slots=True)
class Location:
    """What an ``s3:`` URL names; `key` may be empty or the prefix of other keys."""

    bucket: str
    key: str
    addressing: Addressing | None
    client: ClientName | None
    """What objects are read through; None: the cheapest that keeps every promise."""


def parse_location(url: str) -> Location:
    """Read ``s3://bucket/key?addressing=path``; raise Misconfigured when it cannot be right."""
    rest, ours = take_parameters(url, _CHOICES)
    refuse_unknown_parameters(rest, _CHOICES)
    parts = urlsplit(rest)
    if not _BUCKET.fullmatch(parts.netloc):
        raise Misconfigured(
            f"The store URL {redact(url)} names no bucket; write "
            "s3://BUCKET/KEY, the bucket of 3 to 255 letters, digits, dots, hyphens or underscores."
        )
    for name, value in ours.items():
        if value not in _CHOICES[name]:
            raise Misconfigured(f"{name}={value!r} is none of {', '.join(_CHOICES[name])}.")
    return Location(
        parts.netloc,
        unquote(parts.path.removeprefix("/")),
        cast("Addressing | None", ours.get("addressing")),
        cast("ClientName | None", ours.get("client")),
    )

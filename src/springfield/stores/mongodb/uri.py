"""In charge of reading MongoDB URIs. Opens nothing; what cannot be right raises Misconfigured."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from pymongo.errors import PyMongoError
from pymongo.uri_parser import split_options

from springfield.errors import Misconfigured
from springfield.stores.store import StoreOptions
from springfield.stores.url import redact

DEFAULT_DATABASE = "springfield"


@dataclass(frozen=True, slots=True)
class MongodbUri:
    """What a store URL says."""

    uri: str
    """PyMongo's part, byte for byte: hosts may be many, and its options have their own grammar."""
    collection: str
    defaults: dict[str, Any]
    """PyMongo's options where the URI is silent."""

    @property
    def place(self) -> str:
        """Hosts and ports, without secrets."""
        authority = self.uri.partition("://")[2].partition("?")[0].partition("/")[0]
        return authority.rpartition("@")[2]


def parse_uri(url: str, options: StoreOptions) -> MongodbUri:
    """Take our own `collection=` out of `url` and find what the URI leaves open.

    Raises Misconfigured for an option that PyMongo does not know, and for w=0.
    """
    address, mark, query = url.partition("?")
    collection = options.resource
    kept = []
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key == "collection":
            collection = unquote_plus(value)
        elif pair:
            kept.append(pair)
    rest = "&".join(kept)
    try:
        given = {key.lower(): value for key, value in split_options(rest).items()} if rest else {}
    except (PyMongoError, ValueError, TypeError) as error:
        raise Misconfigured(
            f"The store URL {redact(url)} has an option that MongoDB does not take: {error}."
        ) from None
    if given.get("w") == 0:
        raise Misconfigured(
            f"The store URL {redact(url)} has w=0, so that no write is ever confirmed; remove it."
        )
    defaults = {key: value for key, value in _ours(options).items() if key.lower() not in given}
    return MongodbUri(f"{address}{mark}{rest}" if rest else address, collection, defaults)


def _ours(options: StoreOptions) -> dict[str, Any]:
    milliseconds = int(options.timeout * 1000)
    return {
        "appname": "springfield",
        "w": "majority",
        "timeoutMS": milliseconds,
        "serverSelectionTimeoutMS": milliseconds,
        "connectTimeoutMS": milliseconds,
        "socketTimeoutMS": milliseconds,
        "waitQueueTimeoutMS": milliseconds,
        "maxPoolSize": options.pool_size,
        "retryReads": False,  # retried, or not, by `resilience`; writes by PyMongo: see 0004
    }

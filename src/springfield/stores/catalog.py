"""In charge of finding the adapter for a store URL. The only place that knows them all.

Adapters are imported when they are first opened: boto3 alone takes a third of a second.
"""

import importlib
import importlib.util
import re
from contextlib import AbstractAsyncContextManager
from typing import cast

from springfield.errors import Misconfigured
from springfield.stores.objects import Objects, ObjectStore
from springfield.stores.store import Adapter, StoreOptions
from springfield.stores.url import redact, split, take_parameters

_ITEM_STORES = {
    "sqlite": "sqlite",
    "mongodb": "mongodb",
    "mongodb+srv": "mongodb",
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
    "redis+cluster": "redis",
    "rediss+cluster": "redis",
    "redis+sentinel": "redis",
    "mysql": "mysql",
    "s3": "s3",
}
_OBJECTS_STORES = {"s3": "s3"}
_OBJECT_STORES = {"file": "filesystem", "s3": "s3"}

PRODUCTS = {
    "sqlite": "SQLite",
    "mongodb": "MongoDB",
    "redis": "Redis",
    "mysql": "MySQL",
    "s3": "S3",
    "filesystem": "filesystem",
}


def product_of(url: str) -> str:
    """Return for people what kind of store `url` names: "MySQL"."""
    scheme = url.partition(":")[0]
    return PRODUCTS[(_ITEM_STORES | _OBJECT_STORES)[scheme]]


def place_of(url: str, resource: str) -> str:
    """Return a text that is equal for two resources that would be kept in the same place."""
    scheme = url.partition(":")[0]
    if scheme in {"redis", "rediss"}:
        address, ours = take_parameters(url, {"prefix"})
        parts = split(address)
        host = (parts.hostname or "").replace("localhost", "127.0.0.1")
        database = parts.path.strip("/") or "0"
        return f"redis {host} {parts.port or 6379} {database} {ours.get('prefix', '')}"
    if scheme == "s3":  # what reads it makes no other place of it
        url, _ = take_parameters(url, {"client"})
    by_resource = {"sqlite", "mongodb", "mongodb+srv", "mysql"}
    own_name = not re.search(r"[?&](table|collection)=", url)
    return f"{url} {resource}" if scheme in by_resource and own_name else url


def check_item_url(url: str) -> None:
    """Raise Misconfigured when no store for named items can be at `url`."""
    _package(url, _ITEM_STORES, "named items")


def check_object_url(url: str) -> None:
    """Raise Misconfigured when no store for a single object can be at `url`."""
    _package(url, _OBJECT_STORES, "a single object")


def check_objects_url(url: str) -> None:
    """Raise Misconfigured when no store for objects by name can be at `url`."""
    _package(url, _OBJECTS_STORES, "objects")


def open_store(url: str, options: StoreOptions) -> AbstractAsyncContextManager[Adapter]:
    """Open the store for named items at `url`; leaving the context closes it.

    Raises Misconfigured for a URL that cannot be right. The server need not be there yet.
    """
    package = _package(url, _ITEM_STORES, "named items")
    module = importlib.import_module(f"{package}.adapter")
    return cast("AbstractAsyncContextManager[Adapter]", module.open_store(url, options))


def open_object(url: str, options: StoreOptions) -> AbstractAsyncContextManager[ObjectStore]:
    """Open the store for the single object at `url`; otherwise as `open_store`."""
    package = _package(url, _OBJECT_STORES, "a single object")
    module = importlib.import_module(f"{package}.object")
    return cast("AbstractAsyncContextManager[ObjectStore]", module.open_object(url, options))


def open_objects(url: str, options: StoreOptions) -> AbstractAsyncContextManager[Objects]:
    """Open the store for any number of objects at `url`; otherwise as `open_store`."""
    package = _package(url, _OBJECTS_STORES, "objects")
    module = importlib.import_module(f"{package}.objects")
    return cast("AbstractAsyncContextManager[Objects]", module.open_objects(url, options))


def import_adapter(url: str) -> None:
    """Import now what opening a store at `url` would import; opens nothing, starts no thread."""
    scheme = url.partition(":")[0]
    package = f"springfield.stores.{(_ITEM_STORES | _OBJECT_STORES)[scheme]}"
    for module in ("adapter", "object", "objects"):
        if importlib.util.find_spec(f"{package}.{module}"):
            importlib.import_module(f"{package}.{module}")


def _package(url: str, adapters: dict[str, str], what: str) -> str:
    scheme = url.partition(":")[0]
    if scheme not in adapters:
        known = ", ".join(f"{known}:" for known in sorted(adapters))
        raise Misconfigured(f"No store for {what} is known at {redact(url)!r}; use one of {known}.")
    if not scheme.startswith("mongodb"):  # which has a grammar of its own: several hosts
        split(url)
    return f"springfield.stores.{adapters[scheme]}"

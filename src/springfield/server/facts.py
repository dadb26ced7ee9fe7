"""In charge of what a process says of itself: versions, what each resource is kept in, settings. No secrets."""

import datetime as dt
import importlib.metadata
import os
import platform

from springfield import __version__
from springfield.server.reload import Loaded
from springfield.settings.fields import is_reloadable
from springfield.settings.table import Settings
from springfield.stores import catalog
from springfield.stores.url import redact

LIBRARIES = (
    "tornado", "uvloop", "httptools", "pydantic", "prometheus-client",
    "pymongo", "redis", "asyncmy", "boto3", "apsw",
)  # fmt: skip


def facts_of(loaded: Loaded) -> dict[str, object]:
    """Return this process's facts, with the settings that are in force."""
    return {
        "version": __version__,
        "python": platform.python_version(),
        "libraries": dict(_libraries()),
        "pid": os.getpid(),
        "engine": loaded.settings.engine,
        "resources": _resources(loaded.settings),
        "settings": {
            row.name: {
                "value": row.value,
                "origin": row.origin,
                "reloadable": is_reloadable(Settings.model_fields[row.name]),
            }
            for row in loaded.table()
        },
    }


def timestamp(seconds: float) -> str:
    """Return a time since the epoch as RFC 3339 has it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")


def _libraries() -> list[tuple[str, str]]:
    found = []
    for name in LIBRARIES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue  # uvloop is not made for every platform
    return found


def _resources(settings: Settings) -> list[dict[str, str]]:
    return [
        {
            "name": each.resource,
            "kind": each.kind.value,
            "product": catalog.product_of(each.url),
            "url": redact(each.url),
        }
        for each in settings.bindings
    ]

"""In charge of the settings that bound what a request may take: sizes, seconds, connections."""

from typing import Annotated

from pydantic import BeforeValidator, ByteSize, Field
from pydantic_settings import NoDecode

from springfield.settings.fields import Group, Seconds, reloadable, words


class Bounds(Group):
    """Bounds; every one has a finite default."""

    item_limit: ByteSize = reloadable(
        ByteSize(1024**2),
        ge=1,
        le=64 * 1024**2,
        description="The largest item; 1MiB or 4096 for example.",
    )
    object_limit: ByteSize = reloadable(
        ByteSize(5 * 1024**3), ge=1, le=5 * 1024**4, description="The largest object."
    )
    store_timeout: Seconds = Field(2.0, description="Seconds that one call to a store may take.")
    health_timeout: Seconds = reloadable(
        1.0, description="Seconds that the healthcheck gives to each store."
    )
    wait_limit: int = reloadable(
        60, ge=0, le=3600, description="Seconds that a GET may wait for a change; 0 never waits."
    )
    wait_tick: Seconds = Field(
        1.0, description="Seconds between two looks at a store for those who wait."
    )
    require_precondition: Annotated[frozenset[str], NoDecode, BeforeValidator(words)] = Field(
        frozenset(),
        description="Resources that take conditional writes alone, separated by commas.",
    )
    max_requests: int = reloadable(
        2000,
        ge=1,
        le=1_000_000,
        description="The most requests that a process works on at the same time; more are refused (503).",
    )
    pool_size: int = Field(16, ge=1, le=1000, description="The most connections to each store.")

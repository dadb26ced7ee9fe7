"""In charge of the settings of the admin listener."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from springfield.settings.fields import Group, Seconds, reloadable, words


class Administering(Group):
    """Where operators and probes ask how the process is."""

    admin_host: str = Field(
        "127.0.0.1",
        description="The address of the admin listener. Whoever reaches it may drain the service.",
    )
    admin_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="The port of the admin listener: probes, metrics, switches; 0 takes a free one. "
        "There is none when it is not set.",
    )
    admin_socket: Path | None = Field(
        None, description="A unix socket for the admin listener, for this user and group."
    )
    critical: Annotated[frozenset[str], NoDecode, BeforeValidator(words)] = Field(
        frozenset(),
        description="Resources without whose stores the service is not ready, separated by commas.",
    )
    liveness_timeout: Seconds = reloadable(
        10.0,
        ge=0.2,  # it beats every 0.05 s
        description="Seconds without a turn of the event loop after which /livez answers 503.",
    )

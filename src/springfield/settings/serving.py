"""In charge of the settings of serving: addresses, processes, the wire engine, TLS, stopping."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BeforeValidator, Field

from springfield.settings.cores import count_if_auto
from springfield.settings.fields import Group, Seconds


class Serving(Group):
    """Where and how HTTP is spoken."""

    host: str = Field(
        "127.0.0.1",
        description="The address to listen on. Behind a loopback address only loopback names are answered.",
    )
    port: int = Field(
        8000,
        ge=0,
        le=65535,
        validation_alias=AliasChoices("SPRINGFIELD_PORT", "SERVER_PORT"),
        description="The port to listen on; 0 takes a free one.",
    )
    unix_socket: Path | None = Field(
        None,
        description="A unix socket to listen on as well, for this user and group; with a certificate it speaks TLS, too.",
    )
    reuse_port: bool = Field(
        default=False,
        description="Share the port with another running service (SO_REUSEPORT): a new version beside the old one.",
    )
    workers: Annotated[int, BeforeValidator(count_if_auto)] = Field(
        1,
        ge=1,
        le=256,
        description="Processes that serve; from 2 on a supervisor replaces those that die. auto: one a core.",
    )
    engine: Literal["httptools", "tornado"] = Field(
        "httptools", description="Which wire engine speaks HTTP: our own, or Tornado's HTTPServer."
    )
    tls_certificate: Path | None = Field(
        None,
        description="The certificate chain (PEM) to serve HTTPS with; a reload reads the file anew.",
    )
    tls_key: Path | None = Field(None, description="The certificate's key (PEM, unencrypted).")
    trusted_proxies: str = Field(
        "",
        description="Networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, such as 10.0.0.0/8, unix.",
    )
    read_only: bool = Field(
        default=False, description="Serve reads alone; every write is answered 405."
    )
    drain_delay: float = Field(
        2.0,
        ge=0,
        le=3600,
        description="Seconds after SIGTERM during which new connections are still served, while readiness fails.",
    )
    shutdown_timeout: Seconds = Field(
        10.0,
        description="Seconds that requests in flight may take to finish when the service stops.",
    )

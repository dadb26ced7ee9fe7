"""In charge of the settings of the listener: addresses, the wire engine, TLS, stopping."""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field

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
    shutdown_timeout: Seconds = Field(
        10.0,
        description="Seconds that requests in flight may take to finish when the service stops.",
    )

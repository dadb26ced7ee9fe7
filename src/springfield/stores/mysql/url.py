"""In charge of reading a MySQL URL. A URL that cannot be right is refused before anything runs."""

import ssl
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from springfield.errors import Misconfigured
from springfield.stores.url import redact, refuse_unknown_parameters, take_parameters

DEFAULT_PORT = 3306
_PARAMETERS = frozenset({"table", "ssl-ca"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a table is, and as whom to ask for it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    table: str
    tls: ssl.SSLContext | None

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_url(url: str, resource: str) -> Address:
    """Parse `mysql://user:password@host:port/database?table=&ssl-ca=`, parts percent-encoded.

    The port defaults to 3306, the table to the resource's name. Raises Misconfigured.
    """
    refuse_unknown_parameters(url, _PARAMETERS)
    address, parameters = take_parameters(url, _PARAMETERS)
    parts = urlsplit(address)
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise _wrong(url, "its port is not a number from 1 to 65535") from None
    if not parts.hostname:
        raise _wrong(url, "it names no host")
    if not parts.username:
        raise _wrong(url, "it names no user")
    database = unquote(parts.path.removeprefix("/"))
    if not database:
        raise _wrong(url, "it names no database")
    return Address(
        host=parts.hostname,
        port=port,
        user=unquote(parts.username),
        password=unquote(parts.password or ""),
        database=database,
        table=parameters.get("table") or resource,
        tls=_tls(url, parameters.get("ssl-ca")),
    )


def _tls(url: str, authorities: str | None) -> ssl.SSLContext | None:
    if authorities is None:
        return None
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise _wrong(url, f"its ssl-ca cannot be read as certificates ({error})") from error


def _wrong(url: str, reason: str) -> Misconfigured:
    return Misconfigured(
        f"The store URL {redact(url)} cannot be used: {reason}; "
        "write mysql://user:password@host:3306/database."
    )

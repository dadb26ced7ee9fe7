"""In charge of reading Redis URLs. Opens nothing; what cannot be right raises Misconfigured."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from springfield.errors import Misconfigured
from springfield.stores.url import redact, refuse_unknown_parameters, take_parameters

Address = tuple[str, int]
"""Host and port."""

_FORMS = {
    "redis": "redis://[user:password@]host:port/db",
    "rediss": "rediss://[user:password@]host:port/db",
    "unix": "unix://[user:password@]/path/to.sock?db=0",
    "redis+cluster": "redis+cluster://[user:password@]host:port,host:port",
    "rediss+cluster": "rediss+cluster://[user:password@]host:port,host:port",
    "redis+sentinel": "redis+sentinel://[user:password@]host:port,host:port/service/db",
}
_TLS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_SENTINEL = frozenset({"sentinel_username", "sentinel_password"})
_PORTS = {"redis+sentinel": 26379}
_DEFAULT_PORT = 6379


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """What a Redis URL says."""

    scheme: str
    addresses: Sequence[Address] = ()
    """Of the server, of some nodes of the cluster, or of the sentinels; none for a socket file."""
    path: str = ""
    """Of the socket file."""
    service: str = ""
    """The name under which the sentinels know the primary."""
    prefix: bytes = b""
    """Stands before each name in its key."""
    login: dict[str, Any] = field(default_factory=dict, repr=False)
    """The driver's `db`, `username`, `password` and `ssl_…` arguments for the store's servers."""
    sentinel_login: dict[str, Any] = field(default_factory=dict, repr=False)
    """The driver's `username` and `password` arguments for the sentinels."""

    @property
    def is_cluster(self) -> bool:
        """Whether the keys are spread over several primaries."""
        return self.scheme.endswith("+cluster")

    @property
    def has_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.scheme.startswith("rediss")


def parse_redis_url(url: str) -> RedisUrl:
    """Read `url`, or raise Misconfigured with a sentence that shows the right form."""
    scheme = url.partition(":")[0]
    known = {"prefix"} | {
        "unix": {"db"},
        "rediss": _TLS,
        "rediss+cluster": _TLS,
        "redis+sentinel": _SENTINEL,
    }.get(scheme, set())
    refuse_unknown_parameters(url, known)
    plain, parameters = take_parameters(url, known)
    parts = urlsplit(plain)
    try:
        path, service, db = _place(scheme, parts, parameters)
        addresses = () if path else _addresses(scheme, parts)
    except ValueError:
        raise Misconfigured(
            f"The store URL {redact(url)} is not of the form {_FORMS[scheme]}; correct it."
        ) from None
    tls = {key: value for key, value in parameters.items() if key in _TLS}
    return RedisUrl(
        scheme,
        addresses,
        path,
        service,
        parameters.get("prefix", "").encode(),
        {"db": db, **_login(parts), **tls},
        {key.removeprefix("sentinel_"): parameters[key] for key in _SENTINEL & parameters.keys()},
    )


def _place(scheme: str, parts: SplitResult, parameters: dict[str, str]) -> tuple[str, str, int]:
    """Return the socket file, the service and the database; ValueError for anything else."""
    path = unquote(parts.path)
    if scheme == "unix":
        if not path.startswith("/") or path.endswith("/"):
            raise ValueError(path)
        return path, "", _number(parameters.get("db", ""))
    head, *rest = path.removeprefix("/").split("/")
    if scheme == "redis+sentinel":
        if not head or len(rest) > 1:
            raise ValueError(path)
        return "", head, _number("".join(rest))
    if rest or (scheme.endswith("+cluster") and _number(head) != 0):
        raise ValueError(path)
    return "", "", _number(head)


def _addresses(scheme: str, parts: SplitResult) -> Sequence[Address]:
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if len(hosts) > 1 and scheme in {"redis", "rediss"}:
        raise ValueError(hosts)
    return tuple(_address(host, _PORTS.get(scheme, _DEFAULT_PORT)) for host in hosts)


def _address(text: str, default_port: int) -> Address:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(text)
    return unquote(parts.hostname), default_port if parts.port is None else parts.port


def _login(parts: SplitResult) -> dict[str, str]:
    username, _, password = parts.netloc.rpartition("@")[0].partition(":")
    given = {"username": unquote(username), "password": unquote(password)}
    return {key: value for key, value in given.items() if value}


def _number(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text or 0)

"""In charge of refusing what only a hostile web page sends. The rules for Host and Origin."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from tornado.httputil import HTTPServerRequest

from springfield.web.problems import HTTPRefusal

# RFC 9110, section 7.2: an IP literal in brackets or a name, and a port.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]*))(?::\d*)?")

READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Safety:
    """What the whole service refuses, whatever the resource."""

    loopback_only: bool
    """The service listens on a loopback address, so that only this machine may use it."""
    read_only: bool

    def check(self, request: HTTPServerRequest) -> None:
        """Raise HTTPRefusal for a name that is rebound to us, or a write by a foreign page.

        A browser tells the truth in Host and Origin; without these checks any page that a user of
        this machine opens could read and write what a loopback service keeps.
        """
        if not self.loopback_only:
            return
        host = request.headers.get("Host")
        if host is not None and not _is_loopback_host(host):
            raise HTTPRefusal(
                "misdirected-request",
                f"The service listens on a loopback address and does not answer to the host {host!a}; "
                "use localhost, or start it with --host.",
            )
        if request.method not in READS:
            refuse_foreign_page(request)


def refuse_foreign_page(request: HTTPServerRequest) -> None:
    """Raise HTTPRefusal for a request that a page of another origin sends."""
    origin = request.headers.get("Origin")
    if origin is not None and not _is_own(origin, request.headers.get("Host")):
        raise HTTPRefusal("foreign-origin", f"A page of the origin {origin!a} may not write here.")


def is_loopback_name(host: str) -> bool:
    """Tell whether `host` (no port; IPv6 with or without brackets) always means this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


@lru_cache(64)
def _is_loopback_host(host: str) -> bool:
    found = _HOST.fullmatch(host)
    return found is not None and is_loopback_name(found[1] or found[2])


def _is_own(origin: str, host: str | None) -> bool:
    scheme, _, authority = origin.partition("://")
    return scheme in {"http", "https"} and authority.lower() == (host or "").lower() != ""

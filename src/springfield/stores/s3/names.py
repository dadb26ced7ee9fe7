"""In charge of which names S3 servers keep apart. What some of them fold is refused on all.

Nothing is asked of the server: a name means the same at every endpoint.
"""

from springfield.errors import Misconfigured, NotStorable
from springfield.stores.s3.location import Location, parse_location
from springfield.stores.url import redact

SCRATCH = ".springfield-conditions-"
"""How the keys begin with which `conditions.py` tries the endpoint; they are no names here."""


def is_storable(name: str) -> bool:
    r"""Tell whether every S3 server keeps `name` apart from all others, and from our own keys.

    SeaweedFS takes ``a//b`` for ``a/b``, ``\`` for ``/`` and ``a/`` for a folder; proxies resolve
    dot segments (RFC 3986 section 5.2.4).
    """
    parts = name.split("/")
    is_ours = parts[0].startswith(SCRATCH)
    return not is_ours and "\\" not in name and {"", ".", ".."}.isdisjoint(parts)


def not_storable() -> NotStorable:
    """Return the error for a name that is not storable."""
    return NotStorable(
        "S3 servers keep a name with a backslash, or with an empty, . or .. part between slashes, "
        f"in another name's place, and {SCRATCH} begins keys of the service's own; choose another "
        "name."
    )


def parse_prefix(url: str) -> Location:
    """Read ``s3://bucket/prefix/``; raise Misconfigured when it names no prefix."""
    location = parse_location(url)
    prefix = location.key
    if prefix and (not prefix.endswith("/") or not is_storable(prefix[:-1])):
        raise Misconfigured(
            f"The store URL {redact(url)} does not end in a prefix; write s3://BUCKET/PREFIX/, "
            "without empty or dotted parts."
        )
    return location

"""In charge of reading store URLs: our own parameters out, secrets never shown."""

import re
from collections.abc import Collection
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from springfield.errors import Misconfigured

_SECRET_PARAMETER = re.compile(r"([^&=]*(?:password|secret|token)[^&=]*=)[^&]*", re.IGNORECASE)


def take_parameters(url: str, own: Collection[str]) -> tuple[str, dict[str, str]]:
    """Split `url` into the driver's part and our `own` query parameters."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    ours = {key: value for key, value in pairs if key in own}
    theirs = urlencode([(key, value) for key, value in pairs if key not in own])
    return urlunsplit(parts._replace(query=theirs)), ours


def refuse_unknown_parameters(url: str, known: Collection[str]) -> None:
    """Raise Misconfigured when the query of `url` has a parameter that is not `known`."""
    for key, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if key not in known:
            choices = ", ".join(sorted(known)) or "none"
            raise Misconfigured(
                f"The store URL {redact(url)} has the parameter {key!r}; known here: {choices}."
            )


def redact(url: str) -> str:
    """Return `url` without its secrets, for messages and listings."""
    head, separator, rest = url.partition("://")
    place, mark, query = rest.partition("?")
    user_info, at, hosts = place.rpartition("@")
    user, colon, _ = user_info.partition(":")
    shown = f"{user}{colon}***" if colon else user_info
    harmless = _SECRET_PARAMETER.sub(r"\1***", query)
    return f"{head}{separator}{shown}{at}{hosts}{mark}{harmless}"


def path_of(url: str) -> str:
    """Return the percent-decoded path of a `sqlite:` or `file:` URL."""
    parts = urlsplit(url)
    return unquote(parts.netloc + parts.path)

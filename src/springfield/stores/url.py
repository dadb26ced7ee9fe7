"""In charge of reading store URLs: our own parameters out, secrets never shown."""

import re
from collections.abc import Collection
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from springfield.errors import Misconfigured

_SECRET_PARAMETER = re.compile(
    r"([^&=]*(?:password|secret|token|authmechanismproperties)[^&=]*=)[^&]*", re.IGNORECASE
)


def take_parameters(url: str, own: Collection[str]) -> tuple[str, dict[str, str]]:
    """Split `url` into the driver's part and our `own` query parameters."""
    parts = split(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    ours = {key: value for key, value in pairs if key in own}
    theirs = urlencode([(key, value) for key, value in pairs if key not in own])
    return urlunsplit(parts._replace(query=theirs)), ours


def refuse_unknown_parameters(url: str, known: Collection[str]) -> None:
    """Raise Misconfigured when the query of `url` has a parameter that is not `known`."""
    for key, _ in parse_qsl(split(url).query, keep_blank_values=True):
        if "@" in key:
            raise Misconfigured(
                f"The store URL {redact(url)} has a ? before its @; percent-encode special "
                "characters in user and password."
            )
        if key not in known:
            choices = ", ".join(sorted(known)) or "none"
            raise Misconfigured(
                f"The store URL {redact(url)} has the parameter {key!r}; known here: {choices}."
            )


def redact(url: str) -> str:
    """Return `url` without its secrets, for messages and listings.

    Errs on the safe side: a password with an unescaped `?`, `/` or `@` is not shown either.
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        _, at, shown = url.rpartition("@")
        return f"***@{shown}" if at else _SECRET_PARAMETER.sub(r"\1***", url)
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    login = f"{user}:***" if colon else login
    return scheme + mark + _SECRET_PARAMETER.sub(r"\1***", login + at + place)


def split(url: str) -> SplitResult:
    """Split `url` into its parts (RFC 3986); raise Misconfigured when that cannot be done."""
    try:
        return urlsplit(url)
    except ValueError as error:
        raise Misconfigured(
            f"The store URL {redact(url)} cannot be read ({error}); percent-encode special "
            "characters in user and password."
        ) from None


def path_of(url: str) -> str:
    """Return the percent-decoded path of a `sqlite:` or `file:` URL."""
    parts = split(url)
    return unquote(parts.netloc + parts.path)

"""In charge of the conditions that a request bears: If-Match, If-None-Match, waits, lifetimes, deadlines.

What cannot be understood is refused (400) rather than taken for absent: a condition that is ignored
overwrites what it was to protect.
"""

import re
from collections.abc import Collection, Sequence

from tornado.httputil import HTTPHeaders

from springfield.errors import InvalidParameter
from springfield.headers import Headers
from springfield.model import ANY_TAG, UNCONDITIONAL, Precondition
from springfield.web.fields import preferences_of
from springfield.web.problems import HTTPRefusal

TTL_LIMIT = 10 * 366 * 24 * 3600
"""The longest lifetime, in seconds: ten years."""

A_FEW = 4
"""Entity tags of a list that are sooner looked through than hashed."""

# RFC 9110, section 8.8.3; the list may have empty elements (section 5.6.1).
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_SECONDS = re.compile(r"\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}", re.ASCII)


def precondition_of(headers: Headers) -> Precondition:
    """Read If-Match and If-None-Match (RFC 9110, sections 13.1.1 and 13.1.2)."""
    if "If-Match" not in headers.fields and "If-None-Match" not in headers.fields:
        return UNCONDITIONAL
    match, none_match = (_tags(headers, field) for field in ("If-Match", "If-None-Match"))
    return Precondition(
        # If-Match compares strongly: a weak tag equals nothing.
        None if match is None else _held([tag for tag, weak in match if not weak]),
        None if none_match is None else _held([tag for tag, _ in none_match]),
    )


def _held(tags: Sequence[str]) -> Collection[str]:
    # A set finds one of thousands at once; one of a few is a fifth of its size, and is held for
    # each of the many who may wait.
    return frozenset(tags) if len(tags) > A_FEW else tuple(tags)


def require_precondition(headers: HTTPHeaders) -> None:
    """Raise HTTPRefusal (428, RFC 6585) for a write without a condition."""
    if "If-Match" not in headers and "If-None-Match" not in headers:
        raise HTTPRefusal(
            "precondition-required",
            "This resource takes conditional writes alone; send If-Match with the entity tag that "
            "you read, or If-None-Match: * for a new item.",
        )


def seconds_to_wait(headers: HTTPHeaders, limit: int) -> int:
    """Read `Prefer: wait=SECONDS` (RFC 7240, section 4.3), at most `limit`; 0 where there is none."""
    wait = preferences_of(headers.get("Prefer", "")).get("wait", "")
    return min(int(wait), limit) if re.fullmatch(r"[0-9]{1,9}", wait) else 0


def deadline_of(headers: HTTPHeaders, limit: float) -> float | None:
    """Read X-Request-Timeout: seconds, at most `limit`; None where there is none."""
    value = headers.get("X-Request-Timeout")
    if value is None:
        return None
    if not _SECONDS.fullmatch(value) or not float(value):
        raise InvalidParameter(
            f"X-Request-Timeout: {value!a} is not a number of seconds such as 2.5."
        )
    return min(float(value), limit)


def lifetime_of(ttl: str | None) -> int | None:
    """Read the query parameter ttl: whole seconds, from 1 to ten years."""
    if ttl is None:
        return None
    if not re.fullmatch(r"\d{1,9}", ttl, re.ASCII) or not 1 <= int(ttl) <= TTL_LIMIT:
        raise InvalidParameter(f"ttl={ttl!a} is not a number of seconds from 1 to {TTL_LIMIT}.")
    return int(ttl)


def _tags(headers: HTTPHeaders, field: str) -> list[tuple[str, bool]] | None:
    value = headers.get(field)
    if value is None:
        return None
    if value.strip() == ANY_TAG:
        return [(ANY_TAG, False)]
    if not _TAGS.fullmatch(value):
        raise InvalidParameter(f'{field} is neither * nor a list of entity tags such as "abc".')
    return [(tag.removeprefix("W/").strip('"'), tag[0] == "W") for tag in re.findall(_TAG, value)]

"""In charge of byte ranges (RFC 9110, section 14): one range, or the whole object."""

import re

from tornado.httputil import HTTPHeaders

from springfield.errors import InvalidParameter
from springfield.web.problems import HTTPRefusal

_RANGE = re.compile(r"bytes\s*=\s*([0-9]*)-([0-9]*)\s*", re.IGNORECASE)
_DIGITS = 19
"""Digits of a position that count: the number is beyond any object's end by then."""


def refuse_part(headers: HTTPHeaders) -> None:
    """Raise InvalidParameter for a write of a part (RFC 9110, section 14.5): it would replace all."""
    if "Content-Range" in headers:
        raise InvalidParameter(
            "Content-Range says that the body is a part, and only a whole can be written; send all "
            "of it, without Content-Range."
        )


def byte_range(value: str, size: int) -> tuple[int, int] | None:
    """Return start and stop (not included) of the one range in `value`; None to send all.

    Several ranges, another unit and what is malformed are ignored, as section 14.2 allows. Raises
    HTTPRefusal (416) for a range that begins behind the end. The last bytes of an empty object are
    all of it (section 14.1.2), and Content-Range cannot say so.
    """
    found = _RANGE.fullmatch(value.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = (_position(digits) for digits in found.groups())
    if first is None:
        assert last is not None
        if last and not size:
            return None
        start, stop = max(0, size - last), size
    else:
        start, stop = first, size if last is None else min(size, last + 1)
        if last is not None and last < start:
            return None
    if start >= size:
        raise HTTPRefusal(
            "range-not-satisfiable",
            f"The object has {size} bytes; the range begins behind its end.",
            {"Content-Range": f"bytes */{size}"},
        )
    return start, stop


def _position(digits: str) -> int | None:
    return int(digits.lstrip("0")[:_DIGITS] or "0") if digits else None

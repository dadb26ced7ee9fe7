"""In charge of byte ranges (RFC 9110, section 14): one range, or the whole object."""

import re

from tornado.httputil import HTTPHeaders

from springfield.errors import InvalidParameter
from springfield.web.problems import HTTPRefusal

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,19})-(\d{0,19})\s*", re.IGNORECASE)


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
    HTTPRefusal (416) for a range that begins behind the end.
    """
    found = _RANGE.fullmatch(value.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        raise HTTPRefusal(
            "range-not-satisfiable",
            f"The object has {size} bytes; the range begins behind its end.",
            {"Content-Range": f"bytes */{size}"},
        )
    return start, stop

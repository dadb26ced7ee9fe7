"""In charge of which media types a write may have. The one rule for Content-Type on requests."""

from functools import lru_cache

from tornado.httputil import HTTPHeaders

from springfield.errors import NotStorable
from springfield.headers import Headers
from springfield.model import Kind
from springfield.web.fields import Malformed, media_type_of, split
from springfield.web.problems import HTTPRefusal

# Taken as whatever the resource holds: no claim, or curl's and browsers' default for any data.
_NO_CLAIM = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
_UTF_8 = frozenset({"", "utf-8", "utf8", "us-ascii"})
_PATCHES = frozenset({"application/merge-patch+json", "application/json-patch+json"})

LENGTH_LIMIT = 1024
"""The longest Content-Type, in characters: it is kept with an object, and S3 takes 2 KB in all."""


def check_media_type(kind: Kind, headers: HTTPHeaders) -> None:
    """Raise HTTPRefusal (415) when the body says that it is something that `kind` is not."""
    refuse_encoding(headers)
    media_type, charset = _parsed(headers.get("Content-Type", ""))
    if media_type in _NO_CLAIM:
        return
    if media_type in _PATCHES:
        raise _unsupported(f"{media_type} is a change and no item; send it with PATCH.")
    if kind is not Kind.BYTES and charset not in _UTF_8:
        raise _unsupported(f"The charset {charset!a} is not taken; send UTF-8.")
    if not _fits(kind, media_type):
        raise _unsupported(f"{media_type!a} is not taken here; the resource holds {kind.value}.")


def check_patch_type(headers: HTTPHeaders) -> None:
    """Raise HTTPRefusal (415) for a patch that is no JSON merge patch (RFC 7396)."""
    refuse_encoding(headers)
    media_type, charset = _parsed(headers.get("Content-Type", ""))
    if media_type not in _NO_CLAIM | {"application/merge-patch+json"} or charset not in _UTF_8:
        refusal = _unsupported(f"{media_type!a} is no patch; send application/merge-patch+json.")
        refusal.headers = {"Accept-Patch": "application/merge-patch+json"}
        raise refusal


def require_acceptable(headers: Headers, media_type: str) -> None:
    """Raise HTTPRefusal (406) when Accept excludes `media_type` (RFC 9110, section 12.5.1)."""
    accept = headers.fields.get("Accept")
    if accept is None or accept == "*/*" or not accept.strip():
        return
    wanted = media_type.partition(";")[0]
    kind = wanted.partition("/")[0] + "/*"
    best, quality = -1, 0.0
    for element in accept.split(","):
        name, *parameters = (part.strip().lower() for part in element.split(";"))
        specificity = ("*/*", kind, wanted).index(name) if name in ("*/*", kind, wanted) else -1
        if specificity > best:
            best, quality = specificity, _quality(parameters)
    if quality <= 0:
        raise HTTPRefusal(
            "not-acceptable",
            f"The resource is {wanted}, which Accept does not allow.",
            {"Vary": "Accept"},
        )


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0


def refuse_encoding(headers: HTTPHeaders) -> None:
    """Raise HTTPRefusal (415) for any Content-Encoding: what is sent is what is stored."""
    encoding = headers.get("Content-Encoding", "").lower()
    if encoding and any(coding != "identity" for coding in split(encoding, ",")):
        raise _unsupported(
            f"The Content-Encoding {encoding!a} is not taken; send the body as it is."
        )


def claimed_media_type(headers: HTTPHeaders) -> str | None:
    """Return the Content-Type to keep with an object, None when the request claims nothing.

    Raises NotStorable where S3 could not keep it: it is printable ASCII there.
    """
    value = headers.get("Content-Type", "")
    if _parsed(value)[0] in _NO_CLAIM:
        return None
    if "\t" in value:  # a blank between the parts, most likely
        value = "; ".join(split(value, ";"))
    if not (value.isascii() and value.isprintable()):
        raise NotStorable(f"The Content-Type {value!a} cannot be kept; send printable ASCII.")
    return value.strip()


def _fits(kind: Kind, media_type: str) -> bool:
    is_json = media_type == "application/json" or media_type.endswith("+json")
    if kind is Kind.JSON:
        return is_json or media_type == "text/plain"
    if kind is Kind.TEXT:
        return media_type.startswith("text/") and media_type not in {"text/html", "text/xml"}
    is_structured = is_json or media_type.endswith(("/xml", "+xml", "/html"))
    return not is_structured and not media_type.startswith("multipart/")


@lru_cache(256)  # clients of one kind send the same
def _parsed(value: str) -> tuple[str, str]:
    """Return media type and charset in lower case, empty where there are none."""
    if not value.strip(" \t"):
        return "", ""
    if len(value) > LENGTH_LIMIT:
        raise _unsupported(
            f"The Content-Type has {len(value)} characters; at most {LENGTH_LIMIT} are taken."
        )
    try:
        media_type, parameters = media_type_of(value)
    except Malformed:
        raise _unsupported(
            f"The Content-Type {value!a} is no media type; send one such as text/plain."
        ) from None
    return media_type, parameters.get("charset", "").lower()


def _unsupported(detail: str) -> HTTPRefusal:
    return HTTPRefusal("unsupported-media-type", detail)

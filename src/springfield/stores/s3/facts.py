"""In charge of what is known of an object from an answer of S3, whichever client read it."""

from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from springfield.errors import Unreadable
from springfield.stores.objects import ObjectInfo, header_value
from springfield.stores.s3.errors import is_absent, status_of

UNTYPED = "binary/octet-stream"
"""What Amazon's S3 calls an object without a media type. Without it SeaweedFS guesses one."""

_ANOTHER_VERSION = {
    HTTPStatus.PRECONDITION_FAILED,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,  # from who ignores If-Match: a shorter version
}
_NO_ENCODINGS = {"", "aws-chunked", "identity"}


def is_no_such_version(error: Exception) -> bool:
    """Tell whether there is no object, or no more the version of which a part was asked for."""
    return isinstance(error, ClientError) and (
        is_absent(error) or status_of(error) in _ANOTHER_VERSION
    )


def info_of(answer: Any) -> ObjectInfo:
    """Return the facts that boto3's answer to a GET, of a part too, or a HEAD carries."""
    _, _, size = answer.get("ContentRange", "").rpartition("/")
    return _info(
        int(size or answer["ContentLength"]),
        answer["ETag"],
        answer.get("ContentType"),
        answer.get("ContentEncoding"),
    )


def info_of_result(result: Any) -> ObjectInfo:
    """Return the facts that obstore's answer carries."""
    meta, fields = result.meta, result.attributes
    return _info(
        meta["size"], meta["e_tag"], fields.get("Content-Type"), fields.get("Content-Encoding")
    )


def refuse_large(size: int, limit: int) -> None:
    """Raise Unreadable for an item over the limit, which bounds the memory of the service."""
    if size > limit:
        raise Unreadable(
            f"What S3 holds under this name has {size} bytes, over the limit of {limit} for an "
            "item; raise the limit to read it."
        )


def _info(size: int, tag: str, media_type: str | None, encoding: str | None) -> ObjectInfo:
    if encoding is not None:
        encodings = [each.strip() for each in encoding.split(",")]
        # How an upload was framed, which some servers keep, and what means nothing.
        encoding = header_value(", ".join(each for each in encodings if each not in _NO_ENCODINGS))
    return ObjectInfo(
        size,
        tag.strip('"'),
        None if media_type in (None, UNTYPED) else header_value(media_type),
        encoding,
    )

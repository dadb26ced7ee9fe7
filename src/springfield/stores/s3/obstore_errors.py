"""In charge of what obstore's exceptions mean, in boto3's words. The only file that reads them.

obstore tells statuses and broken connections in its text alone. What this file does not find there
is not guessed: boto3 is asked instead.
"""

import re
from http import HTTPStatus
from typing import Any

from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from obstore.exceptions import (
    BaseError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

OBSTORE_ERRORS = (BaseError, OSError, ValueError)
"""What a call of obstore may raise; FileNotFoundError and ValueError are among them."""

_ANSWER = re.compile(
    r"Server returned non-2xx status code: (\d{3})(?:.*?<Code>([^<]+)</Code>)?", re.DOTALL
)
_BROKEN = {"Connect": EndpointConnectionError, "Timeout": ReadTimeoutError}
_KIND = re.compile(r"HttpError \{\s*kind: (\w+)")
_TYPED = {
    FileNotFoundError: HTTPStatus.NOT_FOUND,
    PermissionDeniedError: HTTPStatus.FORBIDDEN,
    PreconditionError: HTTPStatus.PRECONDITION_FAILED,
    NotModifiedError: HTTPStatus.NOT_MODIFIED,
    UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
}
_REDIRECTED = {HTTPStatus.BAD_REQUEST, *range(300, 400)}


class AskBoto3(Exception):
    """Says that boto3 has to be asked. Its cause is what obstore says."""

    def __init__(self, *, is_elsewhere: bool = False) -> None:
        super().__init__()
        self.is_elsewhere = is_elsewhere
        """Whether the bucket may be in another region: boto3 follows redirects, obstore does not."""


def in_words_of_boto3(error: Exception, key: str) -> Exception:
    """Return what boto3 would raise; raise AskBoto3 where obstore's words do not tell.

    So with 400, too, by which S3 tells of another region, and of other things.
    """
    told = _after(str(error), key)
    if "Received redirect without LOCATION" in told:
        raise AskBoto3(is_elsewhere=True) from error
    answer = _ANSWER.search(told)
    if answer is not None:
        status = int(answer[1])
        if status in _REDIRECTED:
            raise AskBoto3(is_elsewhere=True) from error
        if _TYPED.get(type(error), status) == status:
            return ClientError(_response(status, answer[2] or str(status)), "GetObject")
    kind = _KIND.search(told)
    broken = None if kind is None else _BROKEN.get(kind[1])
    if broken is None:
        raise AskBoto3 from error
    failure: Exception = broken(endpoint_url="", error=error)
    return failure


def _after(told: str, key: str) -> str:
    """Return the text behind the key, which is the client's and may hold anything."""
    _, found, behind = told.partition(key)
    return behind if found else told


def _response(status: int, code: str) -> Any:
    return {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}

"""In charge of what boto3's exceptions mean. The only file that turns them into ours."""

from http import HTTPStatus

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from springfield.errors import (
    Misconfigured,
    NameCollision,
    NotStorable,
    OutcomeUnknown,
    SpringfieldError,
    Unavailable,
    Unreadable,
)

DRIVER_ERRORS = (BotoCoreError, ClientError, ResponseParserError, HTTPError, OSError)
"""What a server, a network or a setting may cause. A body's TLS errors come from urllib3."""

_NOT_SENT = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_TIMEOUTS = (ConnectTimeoutError, ReadTimeoutError, TimeoutError)
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)

_UNFIT_KEYS = {"KeyTooLongError", "InvalidObjectName", "XMinioInvalidObjectName", "InvalidURI"}
_TAKEN_KEYS = {
    "ExistingObjectIsFile",
    "ExistingObjectIsDirectory",
    "XMinioParentIsObject",
    "XMinioObjectExistsAsDirectory",
}
_BUSY = {"SlowDown", "RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestTimeout"}
_BUSY_STATUSES = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


def code_of(error: ClientError) -> str:
    """Return S3's error code; a HEAD has no body, its code is the status: "404"."""
    return error.response.get("Error", {}).get("Code", "")


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the answer, 0 where there is none."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def is_absent(error: ClientError) -> bool:
    """Tell whether the key, and not the bucket, does not exist."""
    return status_of(error) == HTTPStatus.NOT_FOUND and code_of(error) != "NoSuchBucket"


def explain(error: Exception, place: str, bucket: str, *, is_write: bool) -> SpringfieldError:
    """Return what `error` means at `place`, the endpoint as people may see it."""
    if isinstance(error, ClientError):
        return _explain_answer(error, place, bucket, is_write=is_write)
    if isinstance(error, _NO_CREDENTIALS):
        return Misconfigured(
            f"boto3 finds no complete credentials for {place}; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or a profile or role that it knows."
        )
    slow = isinstance(error, _TIMEOUTS)
    happened = "did not answer in time" if slow else "cannot be reached or broke off"
    if is_write and not isinstance(error, _NOT_SENT):
        return OutcomeUnknown(f"{place} {happened}; the write may have happened.", slow=slow)
    return Unavailable(f"{place} {happened}; nothing was written.", slow=slow)


def _explain_answer(
    error: ClientError, place: str, bucket: str, *, is_write: bool
) -> SpringfieldError:
    code, status = code_of(error), status_of(error)
    if code in _BUSY or status in _BUSY_STATUSES:
        return Unavailable(f"{place} is too busy ({code}); nothing was written.")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if is_write:
            return OutcomeUnknown(f"{place} failed ({code}); the write may have happened.")
        return Unavailable(f"{place} failed ({code}); nothing was written.")
    return _explain_name(code, place) or _explain_setting(code, status, place, bucket)


def _explain_name(code: str, place: str) -> SpringfieldError | None:
    if code in _UNFIT_KEYS:
        return NotStorable(f"{place} cannot keep this name ({code}); use a shorter, plainer one.")
    if code in _TAKEN_KEYS:
        return NameCollision(f"{place} keeps this name and another in one place ({code}).")
    if code == "NoSuchUpload":
        return Unavailable(f"{place} gave up the upload; nothing was written, send it again.")
    if code == "InvalidObjectState":
        return Unreadable(f"{place} has archived this object; restore it first.")
    return None


def _explain_setting(code: str, status: int, place: str, bucket: str) -> Misconfigured:
    if code == "NoSuchBucket":
        return no_bucket(place, bucket)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Misconfigured(
            f"{place} refuses these credentials for the bucket {bucket} ({code}); check the keys "
            "and grant s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket."
        )
    return Misconfigured(
        f"{place} does not take requests for the bucket {bucket} ({code or status}); check the "
        "region, the endpoint and the addressing."
    )


def no_bucket(place: str, bucket: str) -> Misconfigured:
    """Return the error that says that the bucket does not exist."""
    return Misconfigured(
        f"{place} has no bucket {bucket}; create the bucket or run springfield init."
    )

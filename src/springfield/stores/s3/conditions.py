"""In charge of conditional writes: how S3 is told a condition, and whether the endpoint obeys.

An endpoint that ignored a condition would overwrite what somebody else has just written. So before
the first conditional write of each sort a scratch object is written under a condition that is
false, once per process and resource. Where that is done, ours is refused (`NotStorable`).
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from springfield.errors import NameCollision, NotStorable
from springfield.stores.s3.client import Bucket, is_seaweedfs
from springfield.stores.s3.errors import DRIVER_ERRORS, code_of, is_absent, status_of
from springfield.stores.s3.names import SCRATCH

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")
Trial = Callable[["S3Client", str, str], bool]
"""Tells whether the endpoint obeys; takes the client, the bucket and the key of a scratch object.

What it has written is removed again.
"""

_NO_SUCH_TAG = '"00000000000000000000000000000000"'
_LOST = {"PreconditionFailed", "ConditionalRequestConflict"}


def condition_of(tag: str | None) -> dict[str, Any]:
    """Return the arguments of a write that takes effect only where `tag`, or nothing, is."""
    return {"IfNoneMatch": "*"} if tag is None else {"IfMatch": f'"{tag}"'}


def unless_lost(
    write: Callable[[], T], bucket: Bucket, key: str, condition: Mapping[str, Any]
) -> T | None:
    """Return what a conditional write returns; None when its condition is not true (any more).

    Raises NameCollision where SeaweedFS says so of an absent key, for a folder that is there.
    """
    try:
        return write()
    except ClientError as error:
        if not _has_lost(error):
            raise
        if "IfNoneMatch" in condition and is_seaweedfs(error.response) and _is_folder(bucket, key):
            raise NameCollision(
                f"{bucket.place} has a folder of this name, since other names begin with it and a "
                "slash, or did minutes ago; it creates nothing beside a folder under a condition. "
                "Write without If-None-Match, or choose another name."
            ) from error
        return None


def _is_folder(bucket: Bucket, key: str) -> bool:
    """Tell whether SeaweedFS has a folder, and no object, at `key`. Mostly one request."""
    try:
        return _exists(bucket, f"{key}/") and not _exists(bucket, key)
    except DRIVER_ERRORS:  # nothing was written: who lost looks again, and fails as a reader does
        return False


def _exists(bucket: Bucket, key: str) -> bool:
    try:
        bucket.client.head_object(Bucket=bucket.name, Key=key)
    except ClientError as error:
        if is_absent(error):
            return False
        raise
    return True


class Conditions:
    """What is known of one endpoint, tried with keys under one prefix."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._trials: dict[Trial, asyncio.Task[bool]] = {}

    async def require(self, trial: Trial) -> None:
        """Return where the endpoint obeys conditions in what `trial` tries; else NotStorable."""
        if not await self.are_obeyed(trial):
            raise NotStorable(
                f"{self._bucket.place} ignores conditions, so this write could undo another's; "
                "write without If-Match and If-None-Match, or use an endpoint that knows them."
            )

    async def are_obeyed(self, trial: Trial) -> bool:
        """Tell whether the endpoint obeys conditions in what `trial` tries.

        The first caller starts the trial, all wait for it. One that fails (`Unavailable`,
        `Misconfigured`) fails for all of them, and the next caller starts it anew.
        """
        if trial not in self._trials:
            self._trials[trial] = asyncio.create_task(self._try(trial))
            self._trials[trial].add_done_callback(partial(self._forget_failed, trial))
        return await asyncio.shield(self._trials[trial])

    async def _try(self, trial: Trial) -> bool:
        key = f"{self._prefix}{SCRATCH}{secrets.token_hex(8)}"
        return await self._bucket.ask(partial(trial, self._bucket.client, self._bucket.name, key))

    def _forget_failed(self, trial: Trial, task: "asyncio.Task[bool]") -> None:
        if task.cancelled() or task.exception() is not None:
            del self._trials[trial]


def obeys_in_put(client: "S3Client", bucket: str, key: str) -> bool:
    """See Trial. Four requests."""
    put = partial(client.put_object, Bucket=bucket, Key=key, Body=b"")
    put()
    try:
        return _is_refused(partial(put, IfNoneMatch="*")) and _is_refused(
            partial(put, IfMatch=_NO_SUCH_TAG)
        )
    finally:
        client.delete_object(Bucket=bucket, Key=key)


def obeys_in_delete(client: "S3Client", bucket: str, key: str) -> bool:
    """See Trial. Three requests."""
    client.put_object(Bucket=bucket, Key=key, Body=b"")
    try:
        return _is_refused(
            partial(client.delete_object, Bucket=bucket, Key=key, IfMatch=_NO_SUCH_TAG)
        )
    finally:
        client.delete_object(Bucket=bucket, Key=key)


def obeys_in_upload(client: "S3Client", bucket: str, key: str) -> bool:
    """See Trial. Seven requests: moto obeys If-None-Match here and ignores If-Match."""
    answer = client.put_object(Bucket=bucket, Key=key, Body=b"")
    try:
        if is_seaweedfs(answer):  # it checks first and completes then: of six racers several win
            return False
        upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        try:
            return _obeys_in_complete(client, bucket, key, upload)
        finally:
            with contextlib.suppress(ClientError):  # gone, where the condition was ignored
                client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
    finally:
        client.delete_object(Bucket=bucket, Key=key)


def _obeys_in_complete(client: "S3Client", bucket: str, key: str, upload: str) -> bool:
    whole: Any = {"Bucket": bucket, "Key": key, "UploadId": upload}
    part = client.upload_part(**whole, PartNumber=1, Body=b"0")
    parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    complete = partial(client.complete_multipart_upload, **whole, MultipartUpload=parts)
    return _is_refused(partial(complete, IfNoneMatch="*")) and _is_refused(
        partial(complete, IfMatch=_NO_SUCH_TAG)
    )


def _is_refused(write: Callable[[], object]) -> bool:
    """Tell whether `write`, whose condition is false, is answered so."""
    try:
        write()
    except ClientError as error:
        if status_of(error) in (HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.BAD_REQUEST):
            return False
        if not _has_lost(error):
            raise
        return True
    return False


def _has_lost(error: ClientError) -> bool:
    """Tell what Amazon S3's User Guide says in "Conditional requests".

    412; 409 when another write came in between; 404 for If-Match where no object is. An answer of
    200 may still hold one of the codes in its body.
    """
    if code_of(error) in _LOST or status_of(error) == HTTPStatus.PRECONDITION_FAILED:
        return True
    return is_absent(error) and code_of(error) != "NoSuchUpload"

"""In charge of moving one object's bytes from and to S3: the blocking side of `object.py`.

A transfer takes one call at a time: closing waits for the call that runs, and no call opens
anything after it.
"""

import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from springfield.errors import Misconfigured, TooLarge
from springfield.stores.objects import CHUNK, ObjectInfo, Part
from springfield.stores.s3.errors import DRIVER_ERRORS
from springfield.stores.s3.facts import info_of, is_no_such_version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART = 8 * 1024 * 1024
"""Bytes of a part, the same for every object, so that equal content has equal entity tags."""

PARTS_LIMIT = 10_000
"""The most parts of one upload: Amazon S3 User Guide, "Multipart upload limits"."""


class Download:
    """One object, or a part of it, being read."""

    def __init__(self, client: "S3Client", bucket: str, key: str, part: Part | None) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._part = part
        self._turn = threading.Lock()
        self._is_closed = False
        self._body: Any = None

    def start(self) -> ObjectInfo | None:
        """Ask for the object; None when there is none, or the part's version is another."""
        with self._turn:
            if self._is_closed:
                return None
            try:
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=self._key, **_arguments_of(self._part)
                )
            except ClientError as error:
                if is_no_such_version(error):
                    return None
                raise
            self._body = answer["Body"]
            info = info_of(answer)
            if self._part is None:
                return info
            if "ContentRange" not in answer:
                raise Misconfigured("This S3 endpoint does not give parts of an object (Range).")
            return info if self._part.entity_tag == info.entity_tag else None

    def read(self) -> bytes:
        """Return the next bytes, at most `CHUNK`; b"" at the end."""
        with self._turn:
            chunk: bytes = self._body.read(CHUNK)
            return chunk

    def close(self) -> None:
        """Drop the connection, unless the object was read to its end: then it is kept."""
        with self._turn:
            self._is_closed = True
            if self._body is not None:
                self._body.close()


class MultipartUpload:
    """One object being written in parts; nothing of it is visible before `complete`."""

    def __init__(self, client: "S3Client", bucket: str, key: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._turn = threading.Lock()
        self._is_closed = False
        self._upload: str | None = None
        self._parts: list[CompletedPartTypeDef] = []

    def create(self, media_type: str) -> None:
        """Begin."""
        with self._turn:
            if self._is_closed:
                return
            answer = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=self._key, ContentType=media_type
            )
            self._upload = answer["UploadId"]

    def send(self, part: bytearray) -> None:
        """Send the next part; raises TooLarge behind the last possible one."""
        with self._turn:
            number = len(self._parts) + 1
            if number > PARTS_LIMIT:
                raise TooLarge(f"S3 takes at most {PARTS_LIMIT} parts of {len(part)} bytes.")
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._id,
                PartNumber=number,
                Body=part,  # type: ignore[arg-type]  # the stub forgets bytearray
            )
            self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def complete(self, condition: Mapping[str, Any]) -> str:
        """Put the object in place under a condition, or none; return its entity tag."""
        with self._turn:
            answer = self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._id,
                MultipartUpload={"Parts": self._parts},
                **condition,
            )
            return answer["ETag"].strip('"')

    def abort(self) -> None:
        """Remove the parts. Where that fails, the bucket's lifecycle rule is left to do it."""
        with self._turn, contextlib.suppress(*DRIVER_ERRORS):
            self._is_closed = True
            if self._upload is not None:
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=self._key, UploadId=self._upload
                )

    @property
    def _id(self) -> str:
        assert self._upload is not None
        return self._upload


def _arguments_of(part: Part | None) -> dict[str, Any]:
    if part is None:
        return {}
    return {"Range": f"bytes={part.start}-{part.stop - 1}", "IfMatch": f'"{part.entity_tag}"'}


async def in_parts(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytearray, None]:
    """Yield what `chunks` yields in pieces of `PART` bytes; only the last one is shorter.

    Two buffers take turns, for freed ones of this size would stay resident: a piece is whole until
    the next but one is asked for.
    """
    part, spare, size = bytearray(), bytearray(), 0
    async for chunk in chunks:
        rest = memoryview(chunk)
        while size + len(rest) >= PART:
            part[size:PART] = rest[: PART - size]
            rest, size = rest[PART - size :], 0
            yield part
            part, spare = spare or bytearray(PART), part
        part[size : size + len(rest)] = rest
        size += len(rest)
    if size:
        del part[size:]
        yield part

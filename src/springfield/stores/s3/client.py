"""In charge of reaching one bucket: reads its URL, makes boto3's client, calls it in threads.

boto3 blocks, so no call of it ever runs on the event loop. Its own retries are off.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args
from urllib.parse import unquote, urlsplit

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from springfield.errors import Misconfigured, OutcomeUnknown, Unavailable
from springfield.stores.s3.errors import DRIVER_ERRORS, code_of, explain, no_bucket, status_of
from springfield.stores.store import Inspection, PoolStatus, StoreOptions
from springfield.stores.threads import MOMENT, Threads, ThreadsBusyError
from springfield.stores.url import redact, refuse_unknown_parameters, take_parameters

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}")
Addressing = Literal["auto", "path", "virtual"]
_STYLES = get_args(Addressing)
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True, slots=True)
class Location:
    """What an ``s3:`` URL names; `key` may be empty or the prefix of other keys."""

    bucket: str
    key: str
    addressing: Addressing | None


def parse_location(url: str) -> Location:
    """Read ``s3://bucket/key?addressing=path``; raise Misconfigured when it cannot be right."""
    rest, ours = take_parameters(url, ["addressing"])
    refuse_unknown_parameters(rest, ["addressing"])
    parts = urlsplit(rest)
    if not _BUCKET.fullmatch(parts.netloc):
        raise Misconfigured(
            f"The store URL {redact(url)} names no bucket; write "
            "s3://BUCKET/KEY, the bucket of 3 to 255 letters, digits, dots, hyphens or underscores."
        )
    addressing = ours.get("addressing")
    if addressing is not None and addressing not in _STYLES:
        raise Misconfigured(f"addressing={addressing!r} is none of {', '.join(_STYLES)}.")
    style = cast("Addressing | None", addressing)
    return Location(parts.netloc, unquote(parts.path.removeprefix("/")), style)


class Bucket:
    """One bucket, reached through boto3's blocking client."""

    def __init__(
        self, client: "S3Client", name: str, threads: Threads, options: StoreOptions
    ) -> None:
        self.client = client
        self.name = name
        self.place = f"S3 at {redact(client.meta.endpoint_url)}"
        self._threads = threads
        self._seconds = options.timeout

    async def ask(self, call: Callable[[], T], seconds: float | None = None) -> T:
        """Return what `call` returns, a read or a step that changes nothing visible yet.

        Raises Unavailable when it fails or takes longer than `seconds` (by default the timeout).
        """
        return await self._call(call, seconds or self._seconds, is_write=False)

    async def change(self, call: Callable[[], T], seconds: float | None = None) -> T:
        """Return what `call` returns, a write: OutcomeUnknown when it was sent, unanswered."""
        return await self._call(call, seconds or self._seconds, is_write=True)

    def pool(self) -> PoolStatus:
        """See Pooled."""
        return self._threads.status()

    async def let_go(self, call: Callable[[], None]) -> None:
        """Run `call` to its end, in the background where that takes longer than a moment."""
        await self._threads.clean_up(call, MOMENT)

    async def clean_up(self, call: Callable[[], None]) -> None:
        """Run `call` to its end, also where the caller is cancelled; wait for two timeouts."""
        await self._threads.clean_up(call, 2 * self._seconds)

    async def check(self) -> None:
        """Raise Misconfigured when the bucket does not exist."""
        if not await self.ask(self._exists):
            raise no_bucket(self.place, self.name)

    async def prepare(self) -> Sequence[str]:
        """Create the bucket when it does not exist."""
        if await self.ask(self._exists):
            return []
        await self.change(self._create)
        return [f"Created the bucket {self.name} on {self.place}."]

    async def _call(self, call: Callable[[], T], seconds: float, *, is_write: bool) -> T:
        try:
            return await self._threads.run(call, seconds)
        except ParamValidationError:  # a call that we built wrongly
            raise
        except ThreadsBusyError as error:
            raise Unavailable(
                f"All {self._threads.size} threads for {self.place} were busy for {seconds:g} s; "
                "nothing was written.",
                slow=True,
            ) from error
        except TimeoutError as error:
            late = f"{self.place} did not answer within {seconds:g} s"
            if is_write:
                raise OutcomeUnknown(f"{late}; the write may happen yet.", slow=True) from error
            raise Unavailable(f"{late}; nothing was written.", slow=True) from error
        except DRIVER_ERRORS as error:
            raise explain(error, self.place, self.name, is_write=is_write) from error

    def _exists(self) -> bool:
        try:
            self.client.head_bucket(Bucket=self.name)
        except ClientError as error:
            if status_of(error) == HTTPStatus.FORBIDDEN:
                return True  # it may be used without the right to list it
            if status_of(error) == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def _create(self) -> None:
        region = self.client.meta.region_name
        where: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self.client.create_bucket(Bucket=self.name, **({} if region == "us-east-1" else where))
        except ClientError as error:
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise


def server_of(answer: Mapping[str, Any]) -> str:
    """Return the Server field of an answer, "" where there is none."""
    server: str = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("server", "")
    return server


def is_seaweedfs(answer: Mapping[str, Any]) -> bool:
    """Tell whether the server calls itself SeaweedFS, which orders and completes its own way."""
    return server_of(answer).startswith("SeaweedFS")


def inspection_of(server: str, warnings: Sequence[str] = ()) -> Inspection:
    """Read "SeaweedFS 8000GB 4.48" as the product "S3 (SeaweedFS)" of version 4.48."""
    software = re.split(r"[\s/]", server, maxsplit=1)[0]
    product = "S3" if software in ("", "AmazonS3") else f"S3 ({software})"
    version = _VERSION.search(server)
    return Inspection(product, version[0] if version else "-", warnings)


@asynccontextmanager
async def open_bucket(location: Location, options: StoreOptions) -> AsyncIterator[Bucket]:
    """Yield the bucket; on exit, wait up to two timeouts for the calls that still run."""
    client = await asyncio.to_thread(_make_client, location, options)
    threads = Threads(options.pool_size, f"s3-{options.resource}")
    try:
        yield Bucket(client, location.bucket, threads, options)
    finally:
        await threads.close(2 * options.timeout)
        client.close()


def _make_client(location: Location, options: StoreOptions) -> "S3Client":
    config = Config(
        connect_timeout=options.timeout / 2,  # before our deadline: nothing was sent, for certain
        read_timeout=options.timeout,
        max_pool_connections=options.pool_size,
        retries={"total_max_attempts": 1},
        # Servers other than Amazon's do not all know the checksums that newer clients add.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": location.addressing} if location.addressing else {},
    )
    try:
        session = Session()
        region = session.region_name or "us-east-1"
        client: S3Client = session.client("s3", region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        raise Misconfigured(f"boto3 cannot reach S3 as it is configured: {error}") from error
    return client

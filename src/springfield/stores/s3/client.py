"""In charge of reaching one bucket: through obstore on the loop, through boto3 in threads.

boto3 blocks, so no call of it ever runs on the event loop. Its own retries are off.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, TypeVar

from botocore.exceptions import ClientError, ParamValidationError

from springfield.errors import OutcomeUnknown, Unavailable
from springfield.stores.s3.clients import Clients, make_clients
from springfield.stores.s3.errors import DRIVER_ERRORS, code_of, explain, no_bucket, status_of
from springfield.stores.s3.location import Location
from springfield.stores.s3.obstore_errors import AskBoto3
from springfield.stores.s3.reader import Reader, can_carry
from springfield.stores.store import Inspection, PoolStatus, StoreOptions
from springfield.stores.threads import MOMENT, Threads, ThreadsBusyError
from springfield.stores.url import redact

T = TypeVar("T")

_VERSION = re.compile(r"\d+(?:\.\d+)+")


class Bucket:
    """One bucket, reached through its clients."""

    def __init__(
        self, clients: Clients, name: str, threads: Threads, options: StoreOptions
    ) -> None:
        self.client = client = clients.boto3
        self.name = name
        self.place = f"S3 at {redact(client.meta.endpoint_url)}"
        self._threads = threads
        self._seconds = options.timeout
        store = clients.obstore
        self._reader = None if store is None else Reader(store, name, self.place, threads.places)

    async def read(
        self,
        key: str,
        cheaply: Callable[[Reader], Awaitable[T]],
        exactly: Callable[[], Awaitable[T]],
    ) -> T:
        """Return what is read of the object at `key` through obstore, where that is possible.

        Else, or where obstore does not tell why it fails, through boto3; for good, where the bucket
        turns out to be in another region.
        """
        is_elsewhere = False
        if self._reader is not None and can_carry(key):
            try:
                return await cheaply(self._reader)
            except AskBoto3 as ask:
                is_elsewhere = ask.is_elsewhere
        found = await exactly()
        if is_elsewhere:  # and boto3 has found where: it remembers
            self._reader = None
        return found

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
    clients = await asyncio.to_thread(make_clients, location, options)
    threads = Threads(options.pool_size, f"s3-{options.resource}")
    try:
        yield Bucket(clients, location.bucket, threads, options)
    finally:
        await threads.close(2 * options.timeout)
        clients.boto3.close()

"""In charge of keeping one streamed object as a plain file, which other programs can use as it is.

No file is touched on the event loop, and a file is only ever replaced as a whole.
"""

import errno
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from springfield.errors import Misconfigured, OutcomeUnknown, StoreError, Unavailable
from springfield.stores.filesystem.download import Download, Version, is_there
from springfield.stores.filesystem.record import keeps_records
from springfield.stores.filesystem.upload import Check, Upload, remove, remove_leftovers
from springfield.stores.objects import Expected, ObjectInfo, OpenObject, Part
from springfield.stores.store import Inspection, PoolStatus, StoreOptions
from springfield.stores.threads import MOMENT, Threads, ThreadsBusyError
from springfield.stores.url import path_of, redact, refuse_unknown_parameters

T = TypeVar("T")

_THREADS = 4
_LOCK_SHARE = 0.8  # of the timeout; who waits longer for the lock knows that nothing was written
_FORGETFUL = (
    "The file system of {} has no extended attributes: media types are not kept, and every start "
    "hashes the object anew. Choose a directory on another one."
)
_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


@asynccontextmanager
async def open_object(url: str, options: StoreOptions) -> AsyncIterator["FileObject"]:
    """Yield the object at ``file:///directory/name``; raise Misconfigured when the URL is wrong.

    Creates the directory and removes what a crashed process left there, where that is possible.
    """
    path = _parse_path(url)
    threads = Threads(min(_THREADS, options.pool_size), f"file-{options.resource}")
    store = FileObject(path, threads, options.timeout)
    try:
        with suppress(StoreError):  # it shows again at the first call
            await store.prepare()
        yield store
    finally:
        await threads.close(options.timeout)


def _parse_path(url: str) -> Path:
    refuse_unknown_parameters(url, ())
    path = path_of(url)
    if urlsplit(url).netloc or not path or path.endswith("/") or "\0" in path:
        raise Misconfigured(
            f"The store URL {redact(url)} names no file; write file:///DIRECTORY/NAME."
        )
    return Path(path)


class FileObject:
    """One file."""

    def __init__(self, path: Path, threads: Threads, seconds: float) -> None:
        self._path = path
        self._threads = threads
        self._seconds = seconds
        self._known: dict[Version, str] = {}

    async def stat(self) -> ObjectInfo | None:
        """Return the object's facts; hashes the file once when another program wrote it."""
        async with self.open() as found:
            return None if found is None else found.info

    @asynccontextmanager
    async def open(self, part: Part | None = None) -> AsyncIterator[OpenObject | None]:
        """Open the object, or a part, for reading. Every chunk has the timeout for itself."""
        download = Download(self._path, self._known)
        try:
            info = await self._identify(download)
            if part is not None:
                download.select(part)
            if info is None or (part is not None and part.entity_tag != info.entity_tag):
                yield None
            else:
                yield OpenObject(info, self._chunks(download))
        finally:
            await self._threads.clean_up(download.close, MOMENT)

    async def write(
        self,
        chunks: AsyncIterator[bytes],
        media_type: str | None,
        expected: Expected | None = None,
    ) -> ObjectInfo | None:
        """See ObjectStore. Cancelled, failed or lost, it removes what it wrote."""
        upload = Upload(self._path)
        try:
            await self._ask(upload.create)
            async for chunk in chunks:
                await self._ask(partial(upload.write, chunk))
            info = await self._ask(partial(upload.finish, media_type))
            is_done = await self._change(upload.publish, expected)
        finally:
            await self._threads.clean_up(upload.close, self._seconds)
        return info if is_done else None

    async def delete(self, expected: Expected | None = None) -> bool:
        """See ObjectStore."""
        return await self._change(partial(remove, self._path), expected)

    def pool(self) -> PoolStatus:
        """See Pooled."""
        return self._threads.status()

    async def ping(self) -> None:
        """Return when the file can be opened, or could be if it were there."""
        download = Download(self._path, self._known)
        try:
            await self._ask(download.start)
        finally:
            await self._threads.clean_up(download.close, MOMENT)

    async def inspect(self) -> Inspection:
        """Say whether this file system keeps media types."""
        if await self._ask(partial(keeps_records, self._path.parent)):
            return Inspection("filesystem", "-")
        return Inspection(
            "filesystem",
            "-",
            [_FORGETFUL.format(self._path.parent)],
        )

    async def prepare(self, *, with_ttl: bool = False) -> Sequence[str]:
        """Create the directory, and remove what a crashed process left in it."""
        del with_ttl  # objects have no lifetimes
        return await self._ask(self._prepare)

    def _prepare(self) -> Sequence[str]:
        directory = self._path.parent
        is_new = not directory.is_dir()
        directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(directory)
        return [f"Created the directory {directory}."] if is_new else []

    async def _identify(self, download: Download) -> ObjectInfo | None:
        if not await self._ask(download.start):
            return None
        info = None
        while info is None:
            info = await self._ask(download.identify)
        return info

    async def _chunks(self, download: Download) -> AsyncIterator[bytes]:
        while chunk := await self._ask(download.read):
            yield chunk

    async def _ask(self, call: Callable[[], T]) -> T:
        """Return what `call` returns; raise Unavailable when it fails: nothing was replaced."""
        late = f"{self._path} did not answer within {self._seconds:g} s; nothing was written."
        try:
            return await self._threads.run(call, self._seconds)
        except (TimeoutError, ThreadsBusyError) as error:
            raise Unavailable(late, slow=True) from error
        except OSError as error:
            raise self._explain(error) from error

    async def _change(
        self, change: Callable[[Check | None, float], bool], expected: Expected | None
    ) -> bool:
        """Do `change`, the step that others see; raise OutcomeUnknown when its end is not known."""
        check = None
        if expected is not None:
            await self.stat()  # so that nothing large is hashed while others wait for the lock
            check = partial(is_there, self._path, expected, self._known)
        call = partial(change, check, self._seconds * _LOCK_SHARE)
        late = f"{self._path} did not answer within {self._seconds:g} s"
        try:
            return await self._threads.run(call, self._seconds)
        except TimeoutError as error:
            raise OutcomeUnknown(f"{late}; it may change yet.", slow=True) from error
        except ThreadsBusyError as error:
            raise Unavailable(f"{late}; nothing was written.", slow=True) from error
        except OSError as error:
            raise self._explain(error) from error

    def _explain(self, error: OSError) -> StoreError:
        directory = self._path.parent
        if error.errno == errno.EIO:
            return OutcomeUnknown(f"The disk of {directory} failed; look at the kernel's log.")
        if error.errno in _FULL:
            return Unavailable(f"The disk of {directory} is full; free some space.")
        if error.errno in _DENIED:
            return Unavailable(
                f"{self._path} is out of reach ({error.strerror}); let this user read and write "
                f"{directory}."
            )
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return Unavailable(f"There is no directory {directory}; create it or mount its disk.")
        return Unavailable(f"The disk of {directory} failed: {error.strerror}.")

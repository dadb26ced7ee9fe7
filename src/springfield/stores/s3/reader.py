"""In charge of reading objects through obstore: on the event loop, without a thread.

What fails fails as it would through boto3. `AskBoto3` is raised where obstore does not tell how:
then nothing was handed out, and the same can be asked of boto3.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import obstore
from obstore.store import S3Store

from springfield.errors import Unavailable
from springfield.model import Item
from springfield.stores.objects import CHUNK, LARGEST_CHUNK, ObjectInfo, OpenObject, Part
from springfield.stores.places import Places
from springfield.stores.s3.errors import explain
from springfield.stores.s3.facts import info_of_result, is_no_such_version, refuse_large
from springfield.stores.s3.obstore_errors import OBSTORE_ERRORS, AskBoto3, in_words_of_boto3

if TYPE_CHECKING:
    from obstore import GetOptions

T = TypeVar("T")

_STRIDE = 2 * CHUNK
"""Bytes asked for at a time, at least: each time costs as much as a third of a request."""

_UNFIT = re.compile(r"[\x00-\x1f\x7f]|(?:^|/)\.{0,2}(?:/|\Z)")
_LATE = "late"


def can_carry(key: str) -> bool:
    """Tell whether obstore asks for this very key.

    It drops a slash at either end, refuses empty and dotted parts, and ASCII's control characters.
    """
    return _UNFIT.search(key) is None


class Reader:
    """One bucket, for reading. A call takes one of the `places`, as a call in a thread does."""

    def __init__(self, store: S3Store, bucket: str, place: str, places: Places) -> None:
        self._store = store
        self._bucket = bucket
        self._place = place
        self._places = places

    async def stat(self, key: str, seconds: float) -> ObjectInfo | None:
        """Return the object's facts; None when there is none."""
        found = await self._placed(partial(self._get, key, {"head": True}), seconds)
        return None if found is None else info_of_result(found)

    async def read(self, key: str, limit: int, seconds: float) -> Item | None:
        """Return a whole object; raise Unreadable where it has more than `limit` bytes."""
        return await self._placed(partial(self._read, key, limit), seconds)

    async def open(
        self, key: str, part: Part | None, seconds: float, stack: AsyncExitStack
    ) -> OpenObject | None:
        """Open the object, or a part, until `stack` is left; see ObjectStore.

        Every chunk has `seconds` for itself.
        """
        options: GetOptions = {} if part is None else _options_of(part)
        found = await self._placed(partial(self._get, key, options), seconds)
        if found is None:
            return None
        info = info_of_result(found)
        if part is not None and part.entity_tag != info.entity_tag:
            return None
        download = _Download(self, found, key, seconds)
        stack.callback(download.close)
        return OpenObject(info, download)

    async def _get(self, key: str, options: "GetOptions", seconds: float) -> Any:
        begin = partial(obstore.get_async, self._store, key, options=options)
        found: Any = await self._result(begin, key, seconds)
        if found is not None and found.meta["e_tag"] is None:
            raise AskBoto3
        return found

    async def _read(self, key: str, limit: int, seconds: float) -> Item | None:
        until = asyncio.get_running_loop().time() + seconds
        found = await self._get(key, {}, seconds)
        if found is None:
            return None
        size = found.meta["size"]
        if size > limit:
            del found  # and with it the connection, whatever becomes of the traceback
            refuse_large(size, limit)
        left = until - asyncio.get_running_loop().time()
        content = await self._result(found.bytes_async, key, left)
        return None if content is None else Item(bytes(content), found.meta["e_tag"].strip('"'))

    async def next_of(
        self, advance: Callable[[], Awaitable[bytes]], key: str, seconds: float
    ) -> bytes:
        """Return what `advance` gives; raise Unavailable where there is no more."""
        try:
            stride = await self._result(advance, key, seconds)
        except (AskBoto3, StopAsyncIteration) as error:
            raise self._broken_off() from error
        if stride is None:
            raise self._broken_off()
        return stride

    def _broken_off(self) -> Unavailable:
        return Unavailable(f"{self._place} broke off an object; nothing was written.")

    async def _placed(self, step: Callable[[float], Awaitable[T]], seconds: float) -> T:
        """Return what `step` returns, which is told how many seconds it has."""
        if self._places.are_taken:
            clock = asyncio.get_running_loop().time
            until = clock() + seconds
            try:
                async with asyncio.timeout(seconds):
                    await self._places.take()
            except TimeoutError as error:
                raise self._late("had no free place for a call", seconds) from error
            seconds = until - clock()
        else:
            await self._places.take()
        try:
            return await step(seconds)
        finally:
            self._places.give_back()

    async def _result(
        self, begin: Callable[[], Awaitable[T]], key: str, seconds: float
    ) -> T | None:
        """Return what obstore returns; None where the object, or the version, does not exist."""
        try:
            return await _within(seconds, begin)
        except TimeoutError as error:
            raise self._late("did not answer", seconds) from error
        except OBSTORE_ERRORS as error:
            told = in_words_of_boto3(error, key)
            if is_no_such_version(told):
                return None
            raise explain(told, self._place, self._bucket, is_write=False) from error

    def _late(self, happened: str, seconds: float) -> Unavailable:
        return Unavailable(
            f"{self._place} {happened} within {seconds:g} s; nothing was written.", slow=True
        )


class _Download:
    """The bytes of one answer. No generator: one that is left early is closed by a task."""

    def __init__(self, reader: Reader, found: Any, key: str, seconds: float) -> None:
        self._reader = reader
        self._stream = found.stream(min_chunk_size=_STRIDE)
        self._key = key
        self._seconds = seconds
        start, stop = found.range
        self._left = stop - start
        self._rest = b""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:  # obstore is not asked for the end, which would take a turn more
            raise StopAsyncIteration
        stride = self._rest or await self._reader.next_of(self._advance, self._key, self._seconds)
        chunk, self._rest = stride[:LARGEST_CHUNK], stride[LARGEST_CHUNK:]
        self._left -= len(chunk)
        return chunk

    def _advance(self) -> Awaitable[bytes]:
        # The stream itself is in no frame: the traceback of a cancelled read may outlive it.
        following: Awaitable[bytes] = self._stream.__anext__()
        return following

    def close(self) -> None:
        """Drop the connection, unless the object was read to its end: then it is kept."""
        self._stream = None


async def _within(seconds: float, begin: Callable[[], Awaitable[T]]) -> T:
    """Return what obstore's future gives; a fifth of what `asyncio.timeout` costs."""
    future = cast("asyncio.Future[T]", begin())
    timer = asyncio.get_running_loop().call_later(seconds, future.cancel, _LATE)
    try:
        return await future
    except asyncio.CancelledError as error:
        if error.args == (_LATE,):
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()


def _options_of(part: Part) -> "GetOptions":
    return {"range": (part.start, part.stop), "if_match": f'"{part.entity_tag}"'}

"""In charge of what every store for one streamed object must do: one suite for all of them.

A file of a few lines per adapter subclasses `ObjectStoreContract` and gives the fixture `place`.
"""

import asyncio
import random
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import pytest

from springfield.errors import Misconfigured, OutcomeUnknown, Unavailable
from springfield.model import Kind
from springfield.stores.objects import CHUNK, LARGEST_CHUNK, Expected, ObjectInfo, ObjectStore, Part
from springfield.stores.store import StoreOptions

MEBIBYTE = 1024 * 1024
OpenObjectStore = Callable[[str, StoreOptions], AbstractAsyncContextManager[ObjectStore]]


class PlainObject(Protocol):
    """The same object, seen by another program: a client of the product, or the file itself."""

    def write(self, content: bytes, media_type: str) -> str | None:
        """Replace the object; return the media type that such a write can leave."""
        ...

    def read(self) -> tuple[bytes, str | None]:
        """Return the content, and the media type where other programs can see it."""
        ...

    def leftovers(self) -> Sequence[str]:
        """Return what failed uploads left: parts, temporary files."""
        ...


@dataclass(frozen=True)
class ObjectPlace:
    """Where one test keeps its object, and the same store broken in two ways."""

    open_object: OpenObjectStore
    url: str
    """A place that holds nothing yet."""
    down_url: str
    """Nothing answers there, at once."""
    silent_url: str
    """It takes calls and never answers them; for files a FIFO, which blocks who opens it."""
    plain: PlainObject
    timeout: float = 2.0

    @property
    def options(self) -> StoreOptions:
        return StoreOptions("bart", Kind.BYTES, timeout=self.timeout, pool_size=4)


class SourceFailedError(Exception):
    """What the body of an upload raises when its client goes away."""


async def in_chunks(content: bytes, size: int = CHUNK) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def in_odd_chunks(content: bytes) -> AsyncIterator[bytes]:
    chance = random.Random(742)
    start = 0
    while start < len(content):
        size = chance.choice([0, 1, 777, 65_537, 300_001, 1_000_003])
        yield content[start : start + size]
        start += size


async def then_failing(content: bytes) -> AsyncIterator[bytes]:
    async for chunk in in_chunks(content):
        yield chunk
    raise SourceFailedError


async def repeated(chunk: bytes, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield chunk


def noise(size: int, seed: int = 8) -> bytes:
    return random.Random(seed).randbytes(size)


async def write(
    store: ObjectStore, chunks: AsyncIterator[bytes], media_type: str | None
) -> ObjectInfo:
    written = await store.write(chunks, media_type)
    assert written is not None
    return written


async def read_all(store: ObjectStore) -> tuple[bytes, ObjectInfo] | None:
    async with store.open() as found:
        if found is None:
            return None
        chunks = [chunk async for chunk in found.chunks]
    assert max(map(len, chunks), default=0) <= LARGEST_CHUNK
    return b"".join(chunks), found.info


async def read_part(store: ObjectStore, part: Part) -> tuple[bytes, ObjectInfo] | None:
    async with store.open(part) as found:
        if found is None:
            return None
        return b"".join([chunk async for chunk in found.chunks]), found.info


class ObjectStoreContract:
    """Subclass it, name it Test…, and give the fixture `place`."""

    @pytest.fixture
    async def store(self, place: ObjectPlace) -> AsyncIterator[ObjectStore]:
        async with place.open_object(place.url, place.options) as store:
            await store.prepare()
            yield store

    # What was written comes back.

    async def test_an_absent_object_is_absent(self, store: ObjectStore) -> None:
        assert await store.stat() is None
        assert await read_all(store) is None

    @pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 8 * MEBIBYTE, 20 * MEBIBYTE + 7])
    async def test_bytes_of_any_size_come_back(self, store: ObjectStore, size: int) -> None:
        content = noise(size)
        written = await write(store, in_odd_chunks(content), "image/png")
        assert written.size == size
        found = await read_all(store)
        assert found == (content, written)
        assert await store.stat() == written

    async def test_a_write_overwrites(self, store: ObjectStore) -> None:
        await write(store, in_chunks(noise(9 * MEBIBYTE)), "image/png")
        second = await write(store, in_chunks(b"second"), "text/plain")
        assert await read_all(store) == (b"second", second)

    async def test_another_opening_sees_what_was_written(
        self, store: ObjectStore, place: ObjectPlace
    ) -> None:
        written = await write(store, in_chunks(b"eat my shorts"), "text/plain")
        async with place.open_object(place.url, place.options) as other:
            assert await read_all(other) == (b"eat my shorts", written)

    async def test_deleting_removes_and_may_be_repeated(self, store: ObjectStore) -> None:
        await write(store, in_chunks(b"doh"), None)
        assert await store.delete()
        assert await store.delete()
        assert await store.stat() is None

    async def test_the_media_type_is_kept(self, store: ObjectStore) -> None:
        for media_type in ("image/png", 'text/plain; charset="utf-8"'):
            await write(store, in_chunks(b"doh"), media_type)
            info = await store.stat()
            assert info is not None
            assert info.media_type == media_type
        written = await write(store, in_chunks(b"doh"), None)
        assert written.media_type is None
        assert await store.stat() == written

    async def test_the_entity_tag_names_the_content(self, store: ObjectStore) -> None:
        tags = [
            (await write(store, in_odd_chunks(content), "image/png")).entity_tag
            for size in (10, 9 * MEBIBYTE)
            for content in (noise(size), noise(size, seed=1), noise(size))
        ]
        assert tags[0] == tags[2]
        assert tags[3] == tags[5]
        assert len(set(tags)) == 4
        assert not any('"' in tag or not tag for tag in tags)

    # Parts.

    @pytest.mark.parametrize("size", [1, CHUNK + 1, 9 * MEBIBYTE])
    async def test_a_part_is_given_exactly(self, store: ObjectStore, size: int) -> None:
        content = noise(size)
        written = await write(store, in_chunks(content), "image/png")
        middle = size // 2
        parts = {(0, 1), (middle, middle + 1), (size - 1, size), (size // 3, size), (0, size)}
        for start, stop in parts:
            found = await read_part(store, Part(start, stop, written.entity_tag))
            assert found == (content[start:stop], written)

    @pytest.mark.parametrize("content", [b"new and longer", b"new", b""])
    async def test_a_part_of_another_version_than_is_there_is_not_given(
        self, store: ObjectStore, content: bytes
    ) -> None:
        old = await write(store, in_chunks(b"the old one"), None)
        part = Part(4, 7, old.entity_tag)
        await write(store, in_chunks(content), None)
        assert await read_part(store, part) is None
        await store.delete()
        assert await read_part(store, part) is None

    async def test_a_part_of_what_another_program_wrote_is_given(
        self, store: ObjectStore, place: ObjectPlace
    ) -> None:
        place.plain.write(b"theirs", "image/gif")
        info = await store.stat()
        assert info is not None
        assert await read_part(store, Part(1, 3, info.entity_tag)) == (b"he", info)
        place.plain.write(b"theirs too", "image/gif")
        assert await read_part(store, Part(1, 3, info.entity_tag)) is None

    # Conditional writes.

    @pytest.mark.parametrize("size", [1, 9 * MEBIBYTE])
    async def test_a_write_replaces_the_object_that_is_expected(
        self, store: ObjectStore, size: int
    ) -> None:
        old = await write(store, in_chunks(b"old"), "text/plain")
        content = noise(size)
        written = await store.write(in_chunks(content), "image/png", Expected(old.entity_tag))
        assert written is not None
        assert await read_all(store) == (content, written)

    @pytest.mark.parametrize("size", [1, 9 * MEBIBYTE])
    async def test_a_write_that_expects_another_object_leaves_the_old_one_and_nothing_else(
        self, store: ObjectStore, place: ObjectPlace, size: int
    ) -> None:
        first = await write(store, in_chunks(b"first"), None)
        old = await write(store, in_chunks(b"old"), "text/plain")
        for expected in (Expected(first.entity_tag), Expected(None)):
            assert await store.write(in_chunks(noise(size)), "image/png", expected) is None
            assert await read_all(store) == (b"old", old)
            assert place.plain.leftovers() == []

    @pytest.mark.parametrize("size", [1, 9 * MEBIBYTE])
    async def test_a_write_that_expects_nothing_inserts(
        self, store: ObjectStore, size: int
    ) -> None:
        content = noise(size)
        written = await store.write(in_chunks(content), "image/png", Expected(None))
        assert written is not None
        assert await read_all(store) == (content, written)

    @pytest.mark.parametrize("size", [1, 9 * MEBIBYTE])
    async def test_a_write_that_expects_an_object_where_none_is_leaves_nothing(
        self, store: ObjectStore, place: ObjectPlace, size: int
    ) -> None:
        old = await write(store, in_chunks(b"old"), None)
        await store.delete()
        expected = Expected(old.entity_tag)
        assert await store.write(in_chunks(noise(size)), None, expected) is None
        assert await store.stat() is None
        assert place.plain.leftovers() == []

    async def test_a_condition_is_about_content_and_not_about_time(
        self, store: ObjectStore
    ) -> None:
        first = await write(store, in_chunks(b"a"), None)
        await write(store, in_chunks(b"b"), None)
        await write(store, in_chunks(b"a"), None)
        assert await store.write(in_chunks(b"c"), None, Expected(first.entity_tag))

    async def test_a_condition_holds_for_what_another_program_wrote(
        self, store: ObjectStore, place: ObjectPlace
    ) -> None:
        place.plain.write(b"theirs", "image/gif")
        info = await store.stat()
        assert info is not None
        place.plain.write(b"changed", "image/gif")
        assert await store.write(in_chunks(b"ours"), None, Expected(info.entity_tag)) is None
        assert not await store.delete(Expected(info.entity_tag))
        place.plain.write(b"theirs", "image/gif")
        assert await store.write(in_chunks(b"ours"), None, Expected(info.entity_tag))

    async def test_a_conditional_write_whose_source_fails_leaves_the_old_object_and_nothing_else(
        self, store: ObjectStore, place: ObjectPlace
    ) -> None:
        old = await write(store, in_chunks(b"old"), "text/plain")
        with pytest.raises(SourceFailedError):
            await store.write(then_failing(noise(CHUNK)), None, Expected(old.entity_tag))
        assert await read_all(store) == (b"old", old)
        assert place.plain.leftovers() == []

    @pytest.mark.parametrize("is_there", [True, False], ids=["replace", "insert"])
    @pytest.mark.parametrize("size", [100_000, 9 * MEBIBYTE])
    async def test_of_many_racers_under_one_condition_exactly_one_wins(
        self, store: ObjectStore, place: ObjectPlace, size: int, is_there: bool
    ) -> None:
        expected = Expected(None)
        if is_there:
            expected = Expected((await write(store, in_chunks(b"old"), None)).entity_tag)
        contents = [noise(size, seed) for seed in range(8)]
        won = await asyncio.gather(
            *(store.write(in_chunks(each), None, expected) for each in contents)
        )
        ((content, info),) = (pair for pair in zip(contents, won, strict=True) if pair[1])
        assert await read_all(store) == (content, info)
        assert place.plain.leftovers() == []

    # Conditional deletions.

    async def test_a_deletion_removes_only_the_object_that_is_expected(
        self, store: ObjectStore
    ) -> None:
        first = await write(store, in_chunks(b"first"), None)
        second = await write(store, in_chunks(b"second"), None)
        assert not await store.delete(Expected(first.entity_tag))
        assert not await store.delete(Expected(None))
        assert await store.stat() == second
        assert await store.delete(Expected(second.entity_tag))
        assert await store.stat() is None
        assert not await store.delete(Expected(second.entity_tag))
        assert await store.delete(Expected(None))

    async def test_of_a_deletion_and_writes_under_one_condition_exactly_one_wins(
        self, store: ObjectStore
    ) -> None:
        for _ in range(5):
            old = await write(store, in_chunks(b"old"), None)
            expected = Expected(old.entity_tag)
            deleted, first, second = await asyncio.gather(
                store.delete(expected),
                store.write(in_chunks(b"first"), None, expected),
                store.write(in_chunks(b"second"), None, expected),
            )
            assert [bool(won) for won in (deleted, first, second)].count(True) == 1
            assert await store.stat() == (first or second)

    # Other programs.

    async def test_what_another_program_wrote_is_served(
        self, store: ObjectStore, place: ObjectPlace
    ) -> None:
        await write(store, in_chunks(b"ours"), "text/plain")
        media_type = place.plain.write(b"theirs", "image/gif")
        found = await read_all(store)
        assert found is not None
        assert found[0] == b"theirs"
        assert found[1].media_type == media_type
        assert await store.stat() == found[1]
        ours = await write(store, in_chunks(b"theirs"), "image/gif")
        assert ours.entity_tag == found[1].entity_tag

    async def test_another_program_sees_what_was_written(
        self, store: ObjectStore, place: ObjectPlace
    ) -> None:
        content = noise(9 * MEBIBYTE)
        await write(store, in_chunks(content), "image/gif")
        read, media_type = place.plain.read()
        assert read == content
        assert media_type in ("image/gif", None)

    # Failures and cancellation.

    @pytest.mark.parametrize("size", [0, CHUNK, 20 * MEBIBYTE])
    async def test_a_failing_source_leaves_the_old_object_and_nothing_else(
        self, store: ObjectStore, place: ObjectPlace, size: int
    ) -> None:
        old = await write(store, in_chunks(b"old"), "text/plain")
        with pytest.raises(SourceFailedError):
            await write(store, then_failing(noise(size)), "image/png")
        assert await read_all(store) == (b"old", old)
        assert place.plain.leftovers() == []

    @pytest.mark.parametrize("size", [CHUNK, 20 * MEBIBYTE])
    async def test_a_write_cancelled_at_its_source_leaves_the_old_object_and_nothing_else(
        self, store: ObjectStore, place: ObjectPlace, size: int
    ) -> None:
        old = await write(store, in_chunks(b"old"), "text/plain")
        is_waiting = asyncio.Event()

        async def then_waiting() -> AsyncIterator[bytes]:
            async for chunk in in_chunks(noise(size)):
                yield chunk
            is_waiting.set()
            await asyncio.Event().wait()

        writing = asyncio.create_task(write(store, then_waiting(), "image/png"))
        await asyncio.wait_for(is_waiting.wait(), 10)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert await read_all(store) == (b"old", old)
        assert place.plain.leftovers() == []

    async def test_writes_cancelled_anywhere_leave_a_whole_object_and_nothing_else(
        self, store: ObjectStore, place: ObjectPlace
    ) -> None:
        content = noise(9 * MEBIBYTE)
        old = await write(store, in_chunks(b"old"), "text/plain")
        chance = random.Random(742)
        for _ in range(25):
            writing = asyncio.create_task(write(store, in_chunks(content), "image/png"))
            await asyncio.sleep(chance.random() * 0.15)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            assert place.plain.leftovers() == []
        found = await read_all(store)
        assert found is not None
        assert found == (b"old", old) or found[0] == content

    async def test_leaving_a_read_early_leaves_the_store_usable(self, store: ObjectStore) -> None:
        content = noise(3 * MEBIBYTE)
        await write(store, in_chunks(content), "image/png")
        for _ in range(20):
            async with store.open() as found:
                assert found is not None
                assert content.startswith(await anext(found.chunks))
        found_again = await read_all(store)
        assert found_again is not None
        assert found_again[0] == content

    async def test_cancelled_reads_never_hand_bytes_to_another_reader(
        self, store: ObjectStore
    ) -> None:
        content = noise(3 * MEBIBYTE)
        await write(store, in_chunks(content), "image/png")
        chance = random.Random(8)
        for _ in range(10):
            readers = [asyncio.create_task(read_all(store)) for _ in range(6)]
            await asyncio.sleep(chance.random() * 0.02)
            for reader in readers[:4]:
                reader.cancel()
            found = await asyncio.gather(*readers, return_exceptions=True)
            for each in found[4:]:
                assert isinstance(each, tuple)
                assert each[0] == content
            assert not [each for each in found if isinstance(each, Exception)]

    # Readers and writers at the same time.

    async def test_a_reader_sees_the_old_or_the_new_object_whole(self, store: ObjectStore) -> None:
        old, new = noise(12 * MEBIBYTE, seed=1), noise(12 * MEBIBYTE, seed=2)
        tags = {
            (await write(store, in_chunks(content), None)).entity_tag: content
            for content in (new, old)
        }
        async with store.open() as found:
            assert found is not None
            first = await anext(found.chunks)
            await write(store, in_chunks(new), None)
            rest = [chunk async for chunk in found.chunks]
        assert b"".join([first, *rest]) == tags[found.info.entity_tag] == old

    async def test_of_two_writers_one_wins_whole(self, store: ObjectStore) -> None:
        contents = [bytes([letter]) * (9 * MEBIBYTE) for letter in b"ab"]
        infos = await asyncio.gather(*(write(store, in_chunks(c), None) for c in contents))
        found = await read_all(store)
        assert found in list(zip(contents, infos, strict=True))

    # Size.

    async def test_memory_does_not_grow_with_the_object(self, store: ObjectStore) -> None:
        chunk = noise(CHUNK)
        tracemalloc.start()
        try:
            await write(store, repeated(chunk, 256), "image/png")
            size = 0
            async with store.open() as found:
                assert found is not None
                async for piece in found.chunks:
                    size += len(piece)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert size == 64 * MEBIBYTE
        assert peak < 24 * MEBIBYTE

    # Broken stores.

    @pytest.mark.parametrize("how", ["down", "silent"])
    async def test_a_broken_store_says_so_within_the_deadline(
        self, place: ObjectPlace, how: str
    ) -> None:
        url = place.down_url if how == "down" else place.silent_url
        async with place.open_object(url, place.options) as store:
            calls: list[Callable[[], Awaitable[object]]] = [
                store.stat,
                store.ping,
                lambda: read_all(store),
                lambda: write(store, in_chunks(b"doh"), None),
                lambda: write(store, in_chunks(bytes(9 * MEBIBYTE)), None),
                lambda: store.write(in_chunks(b"doh"), None, Expected("tag")),
                store.delete,
                lambda: store.delete(Expected("tag")),
            ]
            for call in calls:
                started = time.monotonic()
                with pytest.raises((Unavailable, OutcomeUnknown, Misconfigured)):
                    await call()
                assert time.monotonic() - started < 2 * place.timeout + 1

    # Upkeep.

    async def test_it_is_healthy_with_and_without_an_object(self, store: ObjectStore) -> None:
        await store.ping()
        assert await store.stat() is None
        await write(store, in_chunks(b"doh"), None)
        await store.ping()
        assert await store.stat() is not None

    async def test_it_says_what_it_is(self, store: ObjectStore) -> None:
        inspection = await store.inspect()
        assert inspection.product
        assert inspection.version

    async def test_preparing_twice_loses_nothing(self, store: ObjectStore) -> None:
        written = await write(store, in_chunks(b"doh"), "text/plain")
        await store.prepare()
        assert await read_all(store) == (b"doh", written)

"""The filesystem keeps the contract of objects, and what holds for plain files alone."""

import asyncio
import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from springfield.errors import Misconfigured, NotStorable, Unavailable
from springfield.model import Item, Kind
from springfield.stores.filesystem.object import open_object
from springfield.stores.objects import CHUNK, Expected, ObjectInfo
from springfield.stores.store import StoreOptions
from tests.stores.object_contract import (
    MEBIBYTE,
    ObjectPlace,
    ObjectStoreContract,
    in_chunks,
    noise,
    read_all,
    write,
)

BART = StoreOptions("bart", Kind.BYTES)


@dataclass(frozen=True)
class PlainFile:
    path: Path

    def write(self, content: bytes, media_type: str) -> str | None:
        assert media_type
        self.path.write_bytes(content)
        return None

    def read(self) -> tuple[bytes, str | None]:
        return self.path.read_bytes(), None

    def leftovers(self) -> Sequence[str]:
        return [path.name for path in self.path.parent.iterdir() if path != self.path]


def _files(directory: Path) -> Sequence[str]:
    return [path.name for path in directory.iterdir()]


class TestFilesystem(ObjectStoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> ObjectPlace:
        (tmp_path / "a-file").touch()
        os.mkfifo(tmp_path / "a-fifo")
        return ObjectPlace(
            open_object,
            url=f"file://{tmp_path}/data/bart",
            down_url=f"file://{tmp_path}/a-file/bart",
            silent_url=f"file://{tmp_path}/a-fifo",
            plain=PlainFile(tmp_path / "data" / "bart"),
        )


async def test_the_directory_is_made_and_the_name_is_percent_decoded(tmp_path: Path) -> None:
    async with open_object(f"file://{tmp_path}/new/er/eat%20my%3Fshorts", BART) as store:
        await store.write(in_chunks(b"doh"), None)
    assert (tmp_path / "new" / "er" / "eat my?shorts").read_bytes() == b"doh"


@pytest.mark.parametrize(
    "url",
    ["file:", "file:///", "file:///data/", "file://data/bart", "file:///a%00b", "file:///a?b=c"],
)
async def test_a_url_that_cannot_be_right_is_misconfigured(url: str) -> None:
    with pytest.raises(Misconfigured):
        async with open_object(url, BART):
            pass


# Entity tags.


async def test_a_tag_is_the_hash_of_the_content_whoever_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "bart"
    content = noise(70 * MEBIBYTE)
    path.write_bytes(content)
    async with open_object(f"file://{path}", BART) as store:
        assert await store.stat() == ObjectInfo(len(content), Item(content).entity_tag)
        written = await write(store, in_chunks(content), "image/png")
    assert written.entity_tag == Item(content).entity_tag


@pytest.mark.parametrize("content", [b"same length", b"longer than before", b""])
async def test_a_file_that_another_program_changed_in_place_has_another_tag(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "bart"
    async with open_object(f"file://{path}", BART) as store:
        await store.write(in_chunks(b"eat my shor"), "image/png")
        with path.open("r+b") as file:  # the inode stays, and with it the record
            file.truncate(0)
            file.write(content)
        for _ in range(2):
            assert await store.stat() == ObjectInfo(len(content), Item(content).entity_tag)


async def test_an_attribute_that_is_not_ours_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "bart"
    path.write_bytes(b"doh")
    async with open_object(f"file://{path}", BART) as store:
        for value in (b"", b"not json", b"[]", b"{}", b"\xff"):
            os.setxattr(path, "user.springfield", value)
            assert await store.stat() == ObjectInfo(3, Item(b"doh").entity_tag)


async def test_a_file_system_without_attributes_keeps_everything_but_the_media_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "setxattr", unsupported)
    monkeypatch.setattr(os, "getxattr", unsupported)
    async with open_object(f"file://{tmp_path}/bart", BART) as store:
        written = await write(store, in_chunks(b"doh"), "image/png")
        assert written == ObjectInfo(3, Item(b"doh").entity_tag)
        assert await read_all(store) == (b"doh", written)
        assert "media types" in (await store.inspect()).warnings[0]


# What a disk can refuse.


async def test_a_full_disk_leaves_the_old_object_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with open_object(f"file://{tmp_path}/bart", BART) as store:
        old = await write(store, in_chunks(b"old"), None)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(Unavailable, match="full"):
                await store.write(in_chunks(b"new"), None)
        assert await read_all(store) == (b"old", old)
    assert _files(tmp_path) == ["bart"]


async def test_a_directory_that_is_gone_is_no_absent_object(tmp_path: Path) -> None:
    directory = tmp_path / "mounted"
    async with open_object(f"file://{directory}/bart", BART) as store:
        await store.ping()
        directory.rmdir()
        for call in (store.ping, store.stat, store.delete):
            with pytest.raises(Unavailable, match="mounted"):
                await call()
        with pytest.raises(Unavailable, match="mounted"):
            await store.write(in_chunks(b"doh"), None)


async def test_what_is_no_file_is_misconfigured_and_stays(tmp_path: Path) -> None:
    (tmp_path / "bart").mkdir()
    async with open_object(f"file://{tmp_path}/bart", BART) as store:
        for call in (store.ping, store.stat, store.delete):
            with pytest.raises(Misconfigured, match="regular file"):
                await call()
        with pytest.raises(Misconfigured, match="regular file"):
            await store.write(in_chunks(b"doh"), None)
    assert (tmp_path / "bart").is_dir()


# Processes that share the directory.

REPLACING = """
import asyncio, sys
from springfield.model import Kind
from springfield.stores.filesystem.object import open_object
from springfield.stores.objects import Expected
from springfield.stores.store import StoreOptions

async def count():
    async with open_object(sys.argv[1], StoreOptions("bart", Kind.BYTES, timeout=20)) as store:
        steps = 25
        while steps:
            async with store.open() as found:
                number = int(b"".join([chunk async for chunk in found.chunks]))

            async def chunks():
                yield b"%d" % (number + 1)

            if await store.write(chunks(), None, Expected(found.info.entity_tag)):
                steps -= 1

asyncio.run(count())
"""


async def test_processes_that_count_by_conditional_writes_lose_no_step(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/bart"
    (tmp_path / "bart").write_bytes(b"0")
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", REPLACING, url) for _ in range(4)
    ]
    assert await asyncio.gather(*(process.wait() for process in processes)) == [0] * 4
    assert (tmp_path / "bart").read_bytes() == b"100"
    assert _files(tmp_path) == ["bart"]


async def test_a_lock_that_another_program_keeps_is_waited_for_until_the_deadline(
    tmp_path: Path,
) -> None:
    options = StoreOptions("bart", Kind.BYTES, timeout=0.5)
    async with open_object(f"file://{tmp_path}/bart", options) as store:
        old = await write(store, in_chunks(b"old"), None)
        held = os.open(tmp_path, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            calls: list[Callable[[], Awaitable[object]]] = [
                store.delete,
                lambda: store.write(in_chunks(b"new"), None),
                lambda: store.write(in_chunks(b"new"), None, Expected(old.entity_tag)),
            ]
            for call in calls:
                with pytest.raises(Unavailable, match="flock") as caught:
                    await call()
                assert caught.value.slow
        finally:
            os.close(held)
        assert await read_all(store) == (b"old", old)
        assert _files(tmp_path) == ["bart"]
        assert await store.delete(Expected(old.entity_tag))


async def test_a_file_system_that_cannot_lock_a_directory_refuses_conditions_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: int, operation: int) -> None:  # as NFS does
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real_flock(file, operation)

    real_flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", flock)
    async with open_object(f"file://{tmp_path}/bart", BART) as store:
        written = await write(store, in_chunks(b"doh"), None)
        with pytest.raises(NotStorable, match="lock"):
            await store.write(in_chunks(b"new"), None, Expected(written.entity_tag))
        with pytest.raises(NotStorable, match="lock"):
            await store.delete(Expected(written.entity_tag))
        assert await read_all(store) == (b"doh", written)
        assert _files(tmp_path) == ["bart"]
        assert await store.delete()


async def test_a_condition_holds_for_a_large_file_that_another_program_wrote(
    tmp_path: Path,
) -> None:
    content = noise(70 * MEBIBYTE)
    (tmp_path / "bart").write_bytes(content)
    options = StoreOptions("bart", Kind.BYTES, timeout=10)
    async with open_object(f"file://{tmp_path}/bart", options) as store:
        expected = Expected(Item(content).entity_tag)
        assert await store.write(in_chunks(b"new"), None, Expected("0" * 32)) is None
        assert await store.write(in_chunks(b"new"), None, expected)
        assert await store.write(in_chunks(b"late"), None, expected) is None


UPLOADING = """
import asyncio, sys
from springfield.model import Kind
from springfield.stores.filesystem.object import open_object
from springfield.stores.store import StoreOptions

async def chunks():
    yield b"half"
    print("writing", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    yield b" and half"

async def upload():
    async with open_object(sys.argv[1], StoreOptions("bart", Kind.BYTES)) as store:
        await store.write(chunks(), "text/plain")

asyncio.run(upload())
"""


async def _start_upload(url: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", UPLOADING, url), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"writing\n"
    return process


async def test_opening_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/bart"
    (tmp_path / ".springfield-notes").touch()
    process = await _start_upload(url)
    process.kill()
    await process.wait()
    assert len(_files(tmp_path)) == 2
    async with open_object(url, BART) as store:
        assert await store.stat() is None
    assert _files(tmp_path) == [".springfield-notes"]


async def test_opening_leaves_the_upload_of_a_living_process_alone(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/bart"
    process = await _start_upload(url)
    async with open_object(url, BART) as store:
        assert await store.stat() is None
        await process.communicate(b"\n")
        assert process.returncode == 0
        found = await read_all(store)
    assert found is not None
    assert found[0] == b"half and half"
    assert found[1].media_type == "text/plain"


async def test_openings_beside_many_uploads_remove_none_of_them(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/bart"

    async def open_often() -> None:
        for _ in range(50):
            async with open_object(url, BART):
                pass

    async with open_object(url, BART) as store:
        opening = asyncio.create_task(open_often())
        while not opening.done():
            written = await write(store, in_chunks(noise(CHUNK + 1)), "image/png")
        await opening
        assert await store.stat() == written
    assert _files(tmp_path) == ["bart"]


async def test_a_cancelled_wait_for_a_source_closes_every_file(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"doh"
        await asyncio.Event().wait()

    async with open_object(f"file://{tmp_path}/bart", BART) as store:
        await store.write(in_chunks(b"old"), None)
        before = len(_files(Path("/proc/self/fd")))
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(store.write(endless(), None), 0.05)
        assert len(_files(Path("/proc/self/fd"))) == before

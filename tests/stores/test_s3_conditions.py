"""Conditional writes on S3: endpoints that ignore conditions, and answers that SeaweedFS never gives."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from springfield.errors import NameCollision, NotStorable, Unavailable
from springfield.model import Item, Kind, Name
from springfield.stores.objects import Expected
from springfield.stores.s3.adapter import S3Store, open_store
from springfield.stores.s3.object import open_object
from springfield.stores.store import StoreOptions
from tests.servers.s3 import S3Server
from tests.stores.conftest import BUCKET
from tests.stores.object_contract import MEBIBYTE, in_chunks, noise, read_all, write
from tests.stores.place import all_names, read_item, read_one, write_one

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HOMER = Name("homer")
TEXTS = StoreOptions("things", Kind.TEXT)
BART = StoreOptions("bart", Kind.BYTES)


def _keys(client: "S3Client", bucket: str, prefix: str) -> list[str]:
    listed = client.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for entry in listed.get("Contents", [])]


# An endpoint that ignores conditions.


async def test_where_conditions_are_ignored_swaps_are_refused_and_nothing_changes(
    forgetful: "S3Client",
) -> None:
    async with open_store(f"s3://{BUCKET}/items/", TEXTS) as store:
        await write_one(store, "homer", b"doh")
        read = await read_item(store, "homer")
        for expected, new in ((read, Item(b"new")), (None, Item(b"new")), (read, None)):
            with pytest.raises(NotStorable, match="ignores conditions"):
                await store.swap(HOMER, expected, new)
        assert await read_one(store, "homer") == b"doh"
        assert await store.delete([HOMER]) == {}
    assert _keys(forgetful, BUCKET, "items/") == []


@pytest.mark.parametrize("size", [1, 9 * MEBIBYTE])
async def test_where_conditions_are_ignored_conditional_uploads_are_refused_before_they_are_read(
    forgetful: "S3Client", size: int
) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        async for chunk in in_chunks(noise(size)):
            read += len(chunk)
            yield chunk

    async with open_object(f"s3://{BUCKET}/objects/bart", BART) as bart:
        old = await write(bart, in_chunks(b"old"), "text/plain")
        for expected in (Expected(old.entity_tag), Expected(None)):
            with pytest.raises(NotStorable, match="ignores conditions"):
                await bart.write(body(), None, expected)
        with pytest.raises(NotStorable, match="ignores conditions"):
            await bart.delete(Expected(old.entity_tag))
        assert read == 0
        assert await read_all(bart) == (b"old", old)
    assert _keys(forgetful, BUCKET, "objects/") == ["objects/bart"]


# An endpoint that obeys them in some requests: moto's CompleteMultipartUpload ignores If-Match.


@pytest.mark.usefixtures("moto")
@pytest.mark.parametrize("size", [1, 9 * MEBIBYTE])
async def test_a_condition_that_only_single_requests_obey_is_kept_for_objects_of_any_size(
    moto_client: "S3Client", size: int
) -> None:
    prefix = uuid4().hex
    async with open_object(f"s3://{BUCKET}/{prefix}/bart", BART) as bart:
        old = await write(bart, in_chunks(b"old"), None)
        new = noise(size)
        assert await bart.write(in_chunks(new), None, Expected("0" * 32)) is None
        assert await read_all(bart) == (b"old", old)
        written = await bart.write(in_chunks(new), "image/png", Expected(old.entity_tag))
        assert written is not None
        assert await read_all(bart) == (new, written)
    assert _keys(moto_client, BUCKET, prefix) == [f"{prefix}/bart"]


@pytest.mark.usefixtures("moto")
async def test_a_condition_on_what_is_absent_is_lost_also_where_the_answer_is_404() -> None:
    async with open_store(f"s3://{BUCKET}/{uuid4().hex}/", TEXTS) as store:
        await write_one(store, "homer", b"doh")
        read = await read_item(store, "homer")
        await store.delete([HOMER])
        assert await store.swap(HOMER, read, Item(b"new")) is None
        assert await store.swap(HOMER, read, None) is None
        assert await read_one(store, "homer") is None


# Answers that none of these servers gives.


def _answer_conditional_writes(store: S3Store, status: int, code: str) -> None:
    """Let boto3 find this answer to each PUT and DELETE with a condition, in the server's place."""

    def answer(request: AWSPreparedRequest, **_: object) -> Any:
        if set(request.headers.keys()).isdisjoint({"If-Match", "If-None-Match"}):
            return None
        body = BytesIO(f"<Error><Code>{code}</Code></Error>".encode())
        raw = HTTPResponse(body, status=status, preload_content=False)
        return AWSResponse(request.url, status, HTTPHeaders(), raw)

    store._bucket.client.meta.events.register("before-send.s3.*", answer)


@pytest.mark.usefixtures("moto")
async def test_an_endpoint_that_does_not_implement_conditions_is_one_without_them() -> None:
    async with open_store(f"s3://{BUCKET}/{uuid4().hex}/", TEXTS) as store:
        _answer_conditional_writes(store, 501, "NotImplemented")
        for new in (Item(b"new"), None):
            with pytest.raises(NotStorable, match="ignores conditions"):
                await store.swap(HOMER, Item(b"old", "0" * 32), new)


@pytest.mark.usefixtures("moto")
async def test_a_conflict_with_another_write_is_a_lost_race() -> None:
    async with open_store(f"s3://{BUCKET}/{uuid4().hex}/", TEXTS) as store:
        _answer_conditional_writes(store, 409, "ConditionalRequestConflict")
        for new in (Item(b"new"), None):
            assert await store.swap(HOMER, Item(b"old", "0" * 32), new) is None


# Folders of SeaweedFS.


async def test_a_name_with_longer_ones_behind_a_slash_is_not_created_under_a_condition(
    seaweed: S3Server,
) -> None:
    root = f"s3://{seaweed.bucket}/{uuid4().hex}"
    async with open_store(f"{root}/", TEXTS) as store, open_object(f"{root}/a", BART) as bart:
        await write_one(store, "a/b", b"b")
        for _ in range(2):  # the folder outlives what it was made for
            with pytest.raises(NameCollision, match="has a folder of this name"):
                await store.swap(Name("a"), None, Item(b"x"))
            with pytest.raises(NameCollision, match="has a folder of this name"):
                await bart.write(in_chunks(b"x"), None, Expected(None))
            assert await store.delete([Name("a/b")]) == {}
        assert await all_names(store) == []
        await write_one(store, "a", b"1")
        assert await store.swap(Name("a"), None, Item(b"x")) is None  # lost to what is there
        assert await store.swap(Name("a"), await read_item(store, "a"), Item(b"2"))
        assert await read_one(store, "a") == b"2"


async def test_a_condition_that_was_true_no_more_is_lost_beside_a_folder_too(
    seaweed: S3Server,
) -> None:
    async with open_store(f"s3://{seaweed.bucket}/{uuid4().hex}/", TEXTS) as store:
        await write_one(store, "a", b"a")
        await write_one(store, "a/b", b"b")
        read = await read_item(store, "a")
        assert await store.delete([Name("a")]) == {}
        assert await store.swap(Name("a"), read, Item(b"x")) is None


# Trials.


async def test_an_endpoint_is_tried_once_and_nothing_is_left_of_it(seaweed: S3Server) -> None:
    prefix = uuid4().hex
    client = seaweed.client()
    sent: list[str] = []
    options = StoreOptions("things", Kind.TEXT, timeout=4, pool_size=8)
    async with open_store(f"s3://{seaweed.bucket}/{prefix}/?client=boto3", options) as store:
        events = store._bucket.client.meta.events
        events.register("before-call.s3.*", lambda model, **_: sent.append(model.name))
        names = [Name(f"n{number}") for number in range(8)]
        await asyncio.gather(*(store.swap(name, None, Item(b"new")) for name in names))
        assert sent.count("PutObject") == 3 + len(names)
        assert sent.count("DeleteObject") == 1
        sent.clear()
        assert await store.swap(names[0], await read_item(store, names[0]), Item(b"newer"))
        assert sent == ["GetObject", "PutObject"]
        sent.clear()
        assert await store.swap(names[0], await read_item(store, names[0]), None)
        assert await store.swap(names[1], await read_item(store, names[1]), None)
        assert sent.count("DeleteObject") == 2 + 2
    assert _keys(client, seaweed.bucket, prefix) == [f"{prefix}/n{n}" for n in range(2, 8)]
    client.close()


async def test_a_trial_that_fails_is_made_again(own_seaweed: S3Server) -> None:
    options = StoreOptions("things", Kind.TEXT, timeout=2)
    async with open_store(f"s3://{own_seaweed.bucket}/", options) as store:
        own_seaweed.kill()
        for _ in range(2):
            with pytest.raises(Unavailable):
                await store.swap(HOMER, None, Item(b"doh"))
        own_seaweed.start()
        assert await store.swap(HOMER, None, Item(b"doh"))


async def test_a_scratch_object_that_a_killed_process_left_is_no_item(seaweed: S3Server) -> None:
    prefix = uuid4().hex
    scratch = Name(".springfield-conditions-0123456789abcdef")
    client = seaweed.client()
    client.put_object(Bucket=seaweed.bucket, Key=f"{prefix}/{scratch}", Body=b"")
    client.close()
    async with open_store(f"s3://{seaweed.bucket}/{prefix}/", TEXTS) as store:
        await write_one(store, "homer", b"doh")
        assert await all_names(store) == ["homer"]
        assert await read_one(store, scratch) is None
        assert isinstance((await store.write({scratch: Item(b"x")}))[scratch], NotStorable)


# Nothing for nothing.


async def test_deleting_what_is_expected_to_be_absent_asks_whether_it_is(seaweed: S3Server) -> None:
    async with open_store(f"s3://{seaweed.bucket}/{uuid4().hex}/", TEXTS) as store:
        assert await store.swap(HOMER, None, None)
        await write_one(store, "homer", b"doh")
        assert await store.swap(HOMER, None, None) is None
        assert await read_one(store, "homer") == b"doh"


# Large conditional uploads wait in a temporary file on SeaweedFS.


async def test_a_temporary_directory_that_is_gone_leaves_the_old_object(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_object(f"s3://{seaweed.bucket}/{uuid4().hex}/bart", BART) as bart:
        old = await write(bart, in_chunks(b"old"), None)
        monkeypatch.setattr("tempfile.tempdir", "/nowhere")
        with pytest.raises(Unavailable, match="TMPDIR"):
            await bart.write(in_chunks(noise(9 * MEBIBYTE)), None, Expected(old.entity_tag))
        assert await read_all(bart) == (b"old", old)


@pytest.mark.parametrize("size", [MEBIBYTE, 20 * MEBIBYTE])
async def test_a_conditional_write_cancelled_anywhere_leaves_a_whole_object(
    seaweed: S3Server, size: int
) -> None:
    content = noise(size)
    async with open_object(f"s3://{seaweed.bucket}/{uuid4().hex}/bart", BART) as bart:
        old = await write(bart, in_chunks(b"old"), None)
        for turn in range(12):
            expected = Expected(old.entity_tag)
            writing = asyncio.create_task(bart.write(in_chunks(content), None, expected))
            await asyncio.sleep(turn * 0.02)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        found = await read_all(bart)
        assert found is not None
        assert found == (b"old", old) or found[0] == content

"""S3 keeps the contracts of both ports, and what holds for it alone.

The contracts run on SeaweedFS, which lists folder by folder; listing also on moto, which lists in
byte order as Amazon's S3 does.
"""

import asyncio
import hashlib
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from springfield.errors import (
    Misconfigured,
    NotStorable,
    OutcomeUnknown,
    StoreError,
    Unavailable,
    Unreadable,
)
from springfield.model import Item, Kind, Name
from springfield.stores.objects import ObjectStore, OpenObject
from springfield.stores.s3.adapter import open_store
from springfield.stores.s3.object import open_object
from springfield.stores.store import Adapter, StoreOptions
from tests.servers.process import free_port
from tests.servers.s3 import S3Server
from tests.stores.conftest import EndpointSetter
from tests.stores.contract import StoreContract
from tests.stores.object_contract import (
    MEBIBYTE,
    ObjectPlace,
    ObjectStoreContract,
    in_chunks,
    noise,
    read_all,
    write,
)
from tests.stores.place import OpenStore, Place, all_names, read_one, refusals, write_one

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FOLDED = dict.fromkeys(
    ["two-slashes", "first-slash", "last-slash", "backslash", "dot", "dots", "dot-segment"],
    NotStorable,
)
TOO_LONG = dict.fromkeys(["longest", "longest-wide"], NotStorable)
TEXTS = StoreOptions("things", Kind.TEXT)
BART = StoreOptions("bart", Kind.BYTES)


@pytest.fixture
def broken(use_endpoint: EndpointSetter) -> Iterator["BrokenEndpoints"]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield BrokenEndpoints(use_endpoint, listener.getsockname()[1])


class BrokenEndpoints:
    """Opens a URL where nobody listens, or nobody answers, when its bucket says so.

    The endpoint is a variable of boto3's and not a part of the URL.
    """

    def __init__(self, use_endpoint: EndpointSetter, silent_port: int) -> None:
        self._use_endpoint = use_endpoint
        self._ports = {"s3://down-bucket/": free_port(), "s3://silent-bucket/": silent_port}

    @asynccontextmanager
    async def open_store(self, url: str, options: StoreOptions) -> AsyncIterator[Adapter]:
        self._choose(url)
        async with open_store(url, options) as store:
            yield store

    @asynccontextmanager
    async def open_object(self, url: str, options: StoreOptions) -> AsyncIterator[ObjectStore]:
        self._choose(url)
        async with open_object(url, options) as store:
            yield store

    def _choose(self, url: str) -> None:
        for start, port in self._ports.items():
            if url.startswith(start):
                self._use_endpoint(f"http://127.0.0.1:{port}")


@dataclass(frozen=True)
class PlainS3Object:
    client: "S3Client"
    bucket: str
    key: str

    def write(self, content: bytes, media_type: str) -> str | None:
        self.client.put_object(
            Bucket=self.bucket, Key=self.key, Body=content, ContentType=media_type
        )
        return media_type

    def read(self) -> tuple[bytes, str | None]:
        answer = self.client.get_object(Bucket=self.bucket, Key=self.key)
        return answer["Body"].read(), answer["ContentType"]

    def leftovers(self) -> Sequence[str]:
        uploads = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.key)
        return [upload["UploadId"] for upload in uploads.get("Uploads", [])]


class TestS3(StoreContract):
    @pytest.fixture
    def place(self, seaweed: S3Server, broken: BrokenEndpoints) -> Place:
        return place_of_s3(broken.open_store, seaweed)


def place_of_s3(opened: OpenStore, seaweed: S3Server, query: str = "") -> Place:
    return Place(
        opened,
        url=f"s3://{seaweed.bucket}/{uuid4().hex}/{query}",
        down_url=f"s3://down-bucket/{query}",
        silent_url=f"s3://silent-bucket/{query}",
        timeout=4.0,  # who loses a race on SeaweedFS sometimes waits for seconds
        refused_names=FOLDED | TOO_LONG,
        expires=False,
        race_steps=5,
    )


class TestS3Object(ObjectStoreContract):
    @pytest.fixture
    def place(self, seaweed: S3Server, broken: BrokenEndpoints) -> Iterator[ObjectPlace]:
        key = f"{uuid4().hex}/bart.png"
        client = seaweed.client()
        yield ObjectPlace(
            broken.open_object,
            url=f"s3://{seaweed.bucket}/{key}",
            down_url="s3://down-bucket/bart",
            silent_url="s3://silent-bucket/bart",
            timeout=3.0,
            plain=PlainS3Object(client, seaweed.bucket, key),
        )
        client.close()


# Keys of other programs.


async def test_an_item_is_one_plain_object(seaweed: S3Server) -> None:
    client = seaweed.client()
    async with open_store(f"s3://{seaweed.bucket}/plain%20items/", TEXTS) as store:
        client.put_object(Bucket=seaweed.bucket, Key="plain items/lisa", Body=b"saxophone")
        assert await read_one(store, "lisa") == b"saxophone"
        await write_one(store, "maggie", b"pacifier")
    answer = client.get_object(Bucket=seaweed.bucket, Key="plain items/maggie")
    assert answer["Body"].read() == b"pacifier"
    assert answer["ContentType"] == "text/plain; charset=utf-8"
    client.close()


async def test_an_item_has_the_entity_tag_of_s3(seaweed: S3Server) -> None:
    async with open_store(f"s3://{seaweed.bucket}/tagged/", TEXTS) as store:
        await write_one(store, "lisa", b"saxophone")
        found = (await store.read([Name("lisa")]))[Name("lisa")]
    assert isinstance(found, Item)
    assert found.entity_tag == hashlib.md5(b"saxophone").hexdigest()


async def test_an_object_over_the_item_limit_is_not_read_into_memory(seaweed: S3Server) -> None:
    client = seaweed.client()
    client.put_object(Bucket=seaweed.bucket, Key="large/lisa", Body=bytes(2 * MEBIBYTE))
    client.close()
    async with open_store(f"s3://{seaweed.bucket}/large/", TEXTS) as store:
        await write_one(store, "maggie", b"pacifier")
        found = await store.read([Name("lisa"), Name("maggie")])
    assert isinstance(found[Name("lisa")], Unreadable)
    assert isinstance(found[Name("maggie")], Item)


async def test_a_name_and_a_longer_one_behind_a_slash_are_two_items(seaweed: S3Server) -> None:
    async with open_store(f"s3://{seaweed.bucket}/nested/", TEXTS) as store:
        for name in ("a/b", "a"):
            assert await read_one(store, name) is None
            await write_one(store, name, name.encode())
        assert await all_names(store) == ["a", "a/b"]
        assert await store.delete([Name("a")]) == {}
        assert await read_one(store, "a/b") == b"a/b"


# Listing, in both orders that servers have.

NESTED = ["B", "a", "a b", "a-b", "a-b/c", "a.b", "a/b", "a/c/d", "a0", "aa", "b", "é"]


async def _assert_listed_in_byte_order(store: Adapter) -> None:
    assert refusals(await store.write({Name(name): Item(b"x") for name in NESTED})) == {}
    for page in (1, 2, 5, len(NESTED), 1000):
        assert await all_names(store, page=page) == NESTED
        assert await all_names(store, prefix="a/", page=page) == ["a/b", "a/c/d"]
        assert await all_names(store, prefix="a", page=page) == NESTED[1:10]
    assert await store.names("a-", Name("B"), 10) == ["a-b", "a-b/c"]
    assert await store.names("a-", Name("a0"), 10) == []


async def test_a_server_that_lists_by_folder_is_put_in_byte_order(seaweed: S3Server) -> None:
    async with open_store(f"s3://{seaweed.bucket}/{uuid4().hex}/", TEXTS) as store:
        await _assert_listed_in_byte_order(store)
        inspection = await store.inspect()
    assert inspection.product == "S3 (SeaweedFS)"
    assert re.fullmatch(r"\d+(\.\d+)+", inspection.version)
    assert "byte order" in inspection.warnings[0]


@pytest.mark.usefixtures("moto")
async def test_a_server_that_lists_in_byte_order_is_taken_at_its_word() -> None:
    async with open_store(f"s3://moto-bucket/{uuid4().hex}/", TEXTS) as store:
        await _assert_listed_in_byte_order(store)
        assert (await store.inspect()).warnings == []


@pytest.mark.usefixtures("moto")
async def test_keys_that_are_no_names_here_do_not_shorten_a_page(moto_client: "S3Client") -> None:
    for number in range(250):
        moto_client.put_object(Bucket="moto-bucket", Key=f"odd/a//{number}", Body=b"")
    for name in ("odd/", "odd/b", "odd/c", "odd/d/"):
        moto_client.put_object(Bucket="moto-bucket", Key=name, Body=b"")
    async with open_store("s3://moto-bucket/odd/", TEXTS) as store:
        assert await store.names("", None, 2) == ["b", "c"]
        assert await all_names(store) == ["b", "c"]


# What an operator can get wrong.


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///key", "s3://bucket/key?endpoint=x", "s3://bucket/a?addressing=x"]
)
async def test_a_url_that_cannot_be_right_is_misconfigured(url: str) -> None:
    with pytest.raises(Misconfigured):
        async with open_object(url, BART):
            pass
    with pytest.raises(Misconfigured):
        async with open_store(url + "/", TEXTS):
            pass


@pytest.mark.parametrize("url", ["s3://bucket/key", "s3://bucket/a//", "s3://bucket/../"])
async def test_a_prefix_ends_in_one_slash(url: str) -> None:
    with pytest.raises(Misconfigured, match="prefix"):
        async with open_store(url, TEXTS):
            pass


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "s3://bucket/folder/"])
async def test_an_object_has_a_key(url: str) -> None:
    with pytest.raises(Misconfigured, match="object"):
        async with open_object(url, BART):
            pass


@pytest.mark.usefixtures("moto")
async def test_a_missing_bucket_is_misconfigured_until_it_is_prepared() -> None:
    bucket = f"new-{uuid4().hex}"
    async with (
        open_store(f"s3://{bucket}/", TEXTS) as store,
        open_object(f"s3://{bucket}/bart", BART) as bart,
    ):
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: store.read([Name("lisa")]),
            lambda: write_one(store, "lisa", b"x"),
            lambda: store.names("", None, 10),
            store.ping,
            bart.ping,
            lambda: read_all(bart),
            lambda: bart.write(in_chunks(b"doh"), None),
        ]
        for call in calls:
            with pytest.raises(Misconfigured, match=f"{bucket}; create the bucket or run"):
                await call()
        assert len(await store.prepare()) == 1
        assert await bart.prepare() == []
        await store.ping()
        await bart.ping()


async def test_wrong_credentials_are_misconfigured_and_not_shown(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    async with open_object(f"s3://{seaweed.bucket}/bart", BART) as bart:
        for call in (bart.stat, bart.ping, bart.delete, lambda: read_all(bart)):
            with pytest.raises(Misconfigured, match="credentials") as caught:
                await call()
            assert "wrong-secret" not in str(caught.value)


async def test_missing_credentials_are_misconfigured(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with open_store(f"s3://{seaweed.bucket}/", TEXTS) as store:
        with pytest.raises(Misconfigured, match="AWS_ACCESS_KEY_ID"):
            await store.ping()


async def test_a_missing_profile_is_misconfigured_at_once(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Misconfigured, match="nobody"):
        async with open_object(f"s3://{seaweed.bucket}/bart", BART):
            pass


# Deadlines and threads.


async def test_calls_that_hang_hold_the_threads_and_no_more(broken: BrokenEndpoints) -> None:
    options = StoreOptions("things", Kind.TEXT, timeout=0.5, pool_size=2)
    async with broken.open_store("s3://silent-bucket/", options) as store:
        started = time.monotonic()
        calls = [store.write({Name(f"n{n}"): Item(b"x")}) for n in range(6)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert time.monotonic() - started < 1
        assert [type(error) for error in errors].count(OutcomeUnknown) == 2
        assert [type(error) for error in errors].count(Unavailable) == 4
        assert all(isinstance(e, StoreError) and e.slow for e in errors)
        assert len([t for t in threading.enumerate() if t.name.startswith("s3-things")]) == 2


async def test_what_was_not_sent_is_not_done(broken: BrokenEndpoints) -> None:
    async with broken.open_object("s3://down-bucket/bart", BART) as bart:
        for call in (bart.delete, lambda: bart.write(in_chunks(b"doh"), None)):
            with pytest.raises(Unavailable) as caught:
                await call()
            assert not caught.value.slow


async def _exhaust(found: OpenObject) -> None:
    async for _ in found.chunks:
        pass


async def test_a_server_that_freezes_amid_an_object_is_unavailable(own_seaweed: S3Server) -> None:
    async with open_object(f"s3://{own_seaweed.bucket}/bart", BART) as bart:
        old = await write(bart, in_chunks(noise(64 * MEBIBYTE)), None)
        async with bart.open() as found:
            assert found is not None
            await anext(found.chunks)
            own_seaweed.pause()
            with pytest.raises(Unavailable) as caught:
                await _exhaust(found)
        assert caught.value.slow
        own_seaweed.resume()
        assert await bart.stat() == old


async def test_a_server_that_dies_amid_an_upload_leaves_the_old_object(
    own_seaweed: S3Server,
) -> None:
    async def killing(content: bytes) -> AsyncIterator[bytes]:
        async for chunk in in_chunks(content):
            yield chunk
        own_seaweed.kill()
        yield bytes(MEBIBYTE)

    async with open_object(f"s3://{own_seaweed.bucket}/bart", BART) as bart:
        old = await write(bart, in_chunks(b"old"), "text/plain")
        with pytest.raises(Unavailable):
            await bart.write(killing(noise(20 * MEBIBYTE)), None)
        own_seaweed.start()
        assert await read_all(bart) == (b"old", old)

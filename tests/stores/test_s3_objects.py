"""Collections of objects on S3: any number of them, by name under one prefix."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from springfield.errors import Misconfigured, NotStorable
from springfield.model import Kind, Name
from springfield.stores.objects import Expected, ObjectStore
from springfield.stores.s3.object import open_object
from springfield.stores.s3.objects import open_objects
from springfield.stores.store import StoreOptions
from tests.servers.s3 import S3Server
from tests.stores.object_contract import MEBIBYTE, in_chunks, noise, read_all, write

BART = StoreOptions("bart", Kind.BYTES)


@pytest.fixture
async def photos(seaweed: S3Server) -> AsyncIterator[tuple[str, ObjectStore]]:
    url = f"s3://{seaweed.bucket}/{uuid4().hex}/"
    async with open_objects(url, BART) as objects:
        yield url, objects.at(Name("a photo"))


async def test_objects_of_a_collection_are_kept_apart_and_listed(seaweed: S3Server) -> None:
    url = f"s3://{seaweed.bucket}/{uuid4().hex}/"
    names = ["B", "a", "a b", "a/b", "é"]
    async with open_objects(url, BART) as objects:
        assert await objects.prepare() == []
        await objects.ping()
        assert (await objects.inspect()).product == "S3 (SeaweedFS)"
        for name in names:
            assert await objects.at(Name(name)).stat() is None
            await write(objects.at(Name(name)), in_chunks(name.encode()), "image/png")
        assert await objects.names("", None, 10) == names
        assert await objects.names("a", Name("a"), 1) == ["a b"]
        for name in names:
            found = await read_all(objects.at(Name(name)))
            assert found is not None
            assert found[0] == name.encode()
        assert await objects.at(Name("a")).delete()
        assert await objects.names("a", None, 10) == ["a b", "a/b"]


async def test_an_object_of_a_collection_is_the_one_at_its_key(
    photos: tuple[str, ObjectStore],
) -> None:
    url, photo = photos
    written = await write(photo, in_chunks(noise(9 * MEBIBYTE)), "image/png")
    async with open_object(f"{url}a%20photo", BART) as alone:
        assert await alone.stat() == written
        assert await alone.write(in_chunks(b"new"), None, Expected(written.entity_tag))
    assert await photo.write(in_chunks(b"late"), None, Expected(written.entity_tag)) is None


@pytest.mark.parametrize("name", ["a//b", "/a", "a/", "a\\b", ".", "../a", "a/./b"])
async def test_an_object_whose_name_s3_cannot_keep_is_absent_and_refused(
    seaweed: S3Server, name: str
) -> None:
    async with open_objects(f"s3://{seaweed.bucket}/{uuid4().hex}/", BART) as objects:
        odd = objects.at(Name(name))
        assert await odd.stat() is None
        assert await read_all(odd) is None
        with pytest.raises(NotStorable):
            await odd.write(in_chunks(b"doh"), None)
        assert await odd.delete()
        assert not await odd.delete(Expected("0" * 32))
        assert await objects.names("", None, 10) == []


async def test_a_collection_ends_in_a_slash() -> None:
    with pytest.raises(Misconfigured, match="prefix"):
        async with open_objects("s3://bucket/photos", BART):
            pass

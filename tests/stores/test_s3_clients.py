"""S3 is read through obstore or through boto3, and nobody can tell which, but by what it costs."""

import asyncio
import gzip
import json
import os
import stat
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from springfield.errors import Misconfigured, SpringfieldError, Unavailable
from springfield.model import Kind, Name
from springfield.stores.catalog import place_of
from springfield.stores.objects import ObjectStore, Part
from springfield.stores.s3.adapter import S3Store, open_store
from springfield.stores.s3.names import is_storable
from springfield.stores.s3.object import S3Object, open_object
from springfield.stores.s3.reader import can_carry
from springfield.stores.store import StoreOptions
from tests.servers.s3 import S3Server
from tests.stores.conftest import BUCKET, EndpointSetter
from tests.stores.contract import StoreContract
from tests.stores.eventually import eventually
from tests.stores.object_contract import (
    MEBIBYTE,
    ObjectPlace,
    ObjectStoreContract,
    in_chunks,
    noise,
    read_all,
    write,
)
from tests.stores.place import NAMES, Place, read_one
from tests.stores.test_s3 import BrokenEndpoints, PlainS3Object, broken, place_of_s3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["broken"]

TEXTS = StoreOptions("things", Kind.TEXT)
BART = StoreOptions("bart", Kind.BYTES)
CLIENTS = ["boto3", "obstore"]


# The suites of `test_s3.py` run on the default; here once more on the talk's client.


class TestS3ThroughBoto3(StoreContract):
    @pytest.fixture
    def place(self, seaweed: S3Server, broken: BrokenEndpoints) -> Place:
        return place_of_s3(broken.open_store, seaweed, "?client=boto3")


class TestS3ObjectThroughBoto3(ObjectStoreContract):
    @pytest.fixture
    def place(
        self,
        seaweed: S3Server,
        broken: BrokenEndpoints,
    ) -> Iterator[ObjectPlace]:
        key = f"{uuid4().hex}/bart.png"
        client = seaweed.client()
        yield ObjectPlace(
            broken.open_object,
            url=f"s3://{seaweed.bucket}/{key}?client=boto3",
            down_url="s3://down-bucket/bart?client=boto3",
            silent_url="s3://silent-bucket/bart?client=boto3",
            timeout=3.0,
            plain=PlainS3Object(client, seaweed.bucket, key),
        )
        client.close()


# Which client reads.


class Endpoint(ThreadingTCPServer):
    """Answers every request with the same bytes, and keeps their heads."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.heads: list[str] = []
        self.answer = answer(200, "doh", ETag='"tag"', **MODIFIED)
        self.answer_to_obstore: bytes | None = None

    @property
    def agents(self) -> list[str]:
        """Which clients have asked, in order."""
        return ["obstore" if "object_store/" in head else "boto3" for head in self.heads]


class _Connection(StreamRequestHandler):
    server: Endpoint

    def _head(self) -> str:
        lines = []
        while (line := self.rfile.readline()).strip():
            lines.append(line.decode())
        return "".join(lines)

    def handle(self) -> None:
        with suppress(ConnectionError):
            while head := self._head():
                self.server.heads.append(head)
                answer = self.server.answer
                if self.server.agents[-1] == "obstore":
                    answer = self.server.answer_to_obstore or answer
                start, end, body = answer.partition(b"\r\n\r\n")
                self.wfile.write(start + end + (b"" if head.startswith("HEAD") else body))
                if b"Connection: close" in start:
                    break


@pytest.fixture
def endpoint(use_endpoint: EndpointSetter) -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        thread = threading.Thread(target=partial(endpoint.serve_forever, 0.02))
        thread.start()
        use_endpoint(f"http://127.0.0.1:{endpoint.server_address[1]}")
        yield endpoint
        endpoint.shutdown()
        thread.join()


MODIFIED = {"Last-Modified": "Sun, 29 Nov 2026 09:10:09 GMT"}


def answer(status: int, body: str = "", /, **fields: str) -> bytes:
    fields = {"Content-Length": str(len(body)), **fields}
    lines = [f"HTTP/1.1 {status} So", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@pytest.mark.parametrize(
    ("query", "client"), [("", "obstore"), ("?client=boto3", "boto3"), ("?client=obstore",) * 2]
)
async def test_objects_and_items_are_read_through_obstore_unless_the_url_says_boto3(
    endpoint: Endpoint, query: str, client: str
) -> None:
    client = client.removeprefix("?client=")
    async with open_object(f"s3://{BUCKET}/bart{query}", BART) as bart:
        assert await read_all(bart) == (b"doh", await bart.stat())
    async with open_store(f"s3://{BUCKET}/{query}", TEXTS) as store:
        assert await read_one(store, "lisa") == b"doh"
    assert endpoint.agents == [client] * 3


def test_two_resources_at_one_place_are_so_through_different_clients_too() -> None:
    places = {place_of(f"s3://bucket/a%20b{query}", "any") for query in ("", "?client=boto3")}
    assert len(places) == 1
    assert place_of("s3://bucket/c?client=boto3", "any") not in places


async def test_a_client_that_is_neither_is_misconfigured(endpoint: Endpoint) -> None:
    with pytest.raises(Misconfigured, match="none of boto3, obstore"):
        async with open_object(f"s3://{BUCKET}/bart?client=curl", BART):
            pass
    assert endpoint.heads == []


UNTELLABLE: dict[str, tuple[str, dict[str, str]]] = {
    "a-proxy": (BUCKET, {"HTTP_PROXY": "http://127.0.0.1:9"}),
    "encryption": (BUCKET, {"AWS_SERVER_SIDE_ENCRYPTION": "AES256"}),
    "express": ("bucket--usw2-az1--x-s3", {}),
    "a-ca-bundle": (
        BUCKET,
        {"AWS_CA_BUNDLE": os.devnull, "AWS_ENDPOINT_URL_S3": "https://127.0.0.1:9"},
    ),
}


@pytest.mark.parametrize("name", UNTELLABLE)
async def test_what_obstore_cannot_be_told_is_read_through_boto3(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    bucket, variables = UNTELLABLE[name]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    async with open_object(f"s3://{bucket}/bart", BART) as bart:
        assert isinstance(bart, S3Object)
        assert bart._bucket._reader is None
    if name != "a-ca-bundle":  # who asks for obstore there trusts the system's certificates, too
        with pytest.raises(Misconfigured, match="leave out client=obstore"):
            async with open_object(f"s3://{bucket}/bart?client=obstore", BART):
                pass
    assert endpoint.heads == []


async def test_a_proxy_that_is_not_for_this_host_is_passed_by(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")  # which obstore reads in another way
    async with open_object(f"s3://{BUCKET}/bart", BART) as bart:
        assert await read_all(bart) == (b"doh", await bart.stat())
    assert endpoint.agents == ["obstore"] * 2


@pytest.mark.parametrize(
    ("variables", "query", "expected"),
    [
        ({}, "", ("http://127.0.0.1:1", False, "us-east-1")),
        (
            {"AWS_ENDPOINT_URL_S3": "http://s3.lan:1"},
            "?addressing=virtual",
            ("http://bucket.s3.lan:1", True, "us-east-1"),
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "https://s3.lan/base/", "AWS_DEFAULT_REGION": "mars-1"},
            "?addressing=path",
            ("https://s3.lan/base", False, "mars-1"),
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "", "AWS_DEFAULT_REGION": "eu-west-1"},
            "",
            ("https://bucket.s3.eu-west-1.amazonaws.com", True, "eu-west-1"),
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
            "?addressing=path",
            ("https://s3.dualstack.us-east-1.amazonaws.com", False, "us-east-1"),
        ),
    ],
)
async def test_obstore_asks_where_boto3_would(
    use_endpoint: EndpointSetter,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    query: str,
    expected: tuple[str, bool, str],
) -> None:
    use_endpoint("http://127.0.0.1:1")
    for variable in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")  # obstore's own variables count for nothing
    monkeypatch.setenv("AWS_REGION", "venus-1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    async with open_store(f"s3://bucket/{query}", TEXTS) as store:
        assert isinstance(store, S3Store)
        reader = store._bucket._reader
        assert reader is not None
        config = reader._store.config
    assert config["skip_signature"] in (False, "false")
    found = (config["endpoint"], config["virtual_hosted_style_request"], config["region"])
    assert (found[0], str(found[1]).lower() == "true", found[2]) == expected


# Keys.


KEYS = [
    *NAMES.values(),
    "a//b",
    "/a",
    "//",
    "a/./b",
    "\x7f",
    "a\x01b",
    "~",
    "%2e%2e",
    "a%2Fb",
    "+ &=;",
]


async def test_both_clients_ask_for_the_same_keys(endpoint: Endpoint) -> None:
    asked: dict[str, list[str]] = {}
    for client in CLIENTS:
        async with open_object(f"s3://{BUCKET}/any?client={client}", BART) as bart:
            assert isinstance(bart, S3Object)
            endpoint.heads.clear()
            for key in KEYS:
                bart._key = key
                assert await bart.stat()
            asked[client] = [head.split(" ")[1] for head in endpoint.heads]
    assert asked["boto3"] == asked["obstore"]
    through_obstore = [agent == "obstore" for agent in endpoint.agents]
    assert through_obstore == [can_carry(key) for key in KEYS]


def test_what_obstore_cannot_carry_is_no_name_on_s3_either() -> None:
    assert {name for name in NAMES.values() if not can_carry(name)} <= {
        name for name in NAMES.values() if not is_storable(name)
    }


# What fails, fails alike.

XML = "<?xml version='1.0'?><Error><Code>{}</Code><Message>no</Message></Error>"
ANSWERS = {
    "absent": answer(404, XML.format("NoSuchKey")),
    "absent-without-a-word": answer(404),
    "no-bucket": answer(404, XML.format("NoSuchBucket")),
    "forbidden": answer(403, XML.format("AccessDenied")),
    "signature": answer(403, XML.format("SignatureDoesNotMatch")),
    "unauthorized": answer(401, XML.format("Unauthorized")),
    "region": answer(400, XML.format("AuthorizationHeaderMalformed")),
    "too-long": answer(400, XML.format("KeyTooLongError")),
    "archived": answer(403, XML.format("InvalidObjectState")),
    "method": answer(405, XML.format("MethodNotAllowed")),
    "conflict": answer(409, XML.format("OperationAborted")),
    "slow-down": answer(503, XML.format("SlowDown")),
    "busy": answer(429),
    "broken": answer(500, XML.format("InternalError")),
    "gateway": answer(502, "<html>bad gateway</html>"),
    "redirect-without-location": answer(301, XML.format("PermanentRedirect")),
    "no-tag": answer(200, "doh", **MODIFIED),
    "no-date": answer(200, "doh", ETag='"tag"'),
    "odd-metadata": answer(200, "doh", ETag='"tag"', **MODIFIED, **{"x-amz-meta-a": "é"}),
    "odd-field": answer(200, "doh", ETag='"tag"', **MODIFIED, **{"x-amz-meta-é": "é"}),
    "not-http": b"doh\r\n\r\n",
    "cut": answer(200, "doh", **{"Content-Length": "9", "ETag": '"tag"', "Connection": "close"}),
}


async def _outcome(call: Callable[[], Awaitable[object]]) -> object:
    try:
        return await call()
    except SpringfieldError as error:
        return type(error), error.temporary, getattr(error, "slow", None)
    except Exception as error:  # noqa: BLE001 - whatever it is, both shall have it
        return type(error)


@pytest.mark.parametrize("name", ANSWERS)
async def test_every_answer_means_the_same_through_both_clients(
    endpoint: Endpoint, name: str
) -> None:
    endpoint.answer = ANSWERS[name]
    options = StoreOptions("things", Kind.TEXT, timeout=1)
    found = []
    for client in CLIENTS:
        async with (
            open_object(f"s3://{BUCKET}/bart?client={client}", options) as bart,
            open_store(f"s3://{BUCKET}/?client={client}", options) as store,
        ):
            calls: list[Callable[[], Awaitable[object]]] = [
                bart.stat,
                lambda bart=bart: read_all(bart),  # type: ignore[misc]
                lambda bart=bart: _part(bart),  # type: ignore[misc]
                lambda store=store: read_one(store, "lisa"),  # type: ignore[misc]
            ]
            found.append([await _outcome(call) for call in calls])
    assert found[0] == found[1]


async def _part(bart: ObjectStore) -> bytes | None:
    async with bart.open(Part(0, 2, "tag")) as found:
        return None if found is None else b"".join([chunk async for chunk in found.chunks])


@pytest.mark.parametrize("name", ["region", "redirect-without-location"])
async def test_a_bucket_in_another_region_is_found_and_then_read_through_boto3(
    endpoint: Endpoint, name: str
) -> None:
    endpoint.answer_to_obstore = ANSWERS[name]  # boto3 follows them
    async with open_store(f"s3://{BUCKET}/", TEXTS) as store:
        for _ in range(2):
            assert await read_one(store, "lisa") == b"doh"
    assert endpoint.agents == ["obstore", "boto3", "boto3"]


async def test_a_name_that_reads_like_an_error_is_absent_and_no_more(endpoint: Endpoint) -> None:
    endpoint.answer = ANSWERS["absent"]
    name = "Server returned non-2xx status code: 503 <Code>NoSuchBucket</Code> HttpError { kind: X"
    async with open_store(f"s3://{BUCKET}/", TEXTS) as store:
        assert await read_one(store, name) is None
    assert endpoint.agents == ["obstore"]


async def test_content_that_is_encoded_comes_as_it_stands(seaweed: S3Server) -> None:
    content = gzip.compress(b"doh" * 1000)
    client: S3Client = seaweed.client()
    client.put_object(
        Bucket=seaweed.bucket,
        Key="encoded",
        Body=content,
        ContentEncoding="gzip",
        Metadata={"a": "b"},
    )
    client.close()
    async with open_object(f"s3://{seaweed.bucket}/encoded", BART) as bart:
        found = await read_all(bart)
    assert found is not None
    assert (found[0], found[1].encoding) == (content, "gzip")


# Credentials.


async def test_credentials_that_end_are_renewed_as_boto3_does(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script, config = tmp_path / "credentials", tmp_path / "config"
    secrets = {"AccessKeyId": seaweed.access_key, "SecretAccessKey": seaweed.secret_key}
    script.write_text(
        f"#!{sys.executable}\n"
        "import datetime, json\n"
        f"open({str(tmp_path / 'asked')!r}, 'a').write('.')\n"
        "end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)\n"
        f"print(json.dumps({{'Version': 1, 'Expiration': end.isoformat(), **{json.dumps(secrets)}}}))\n"
    )
    script.chmod(stat.S_IRWXU)
    config.write_text(f"[profile homer]\ncredential_process = {script}\n")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "homer")
    async with open_object(f"s3://{seaweed.bucket}/{uuid4().hex}?client=obstore", BART) as bart:
        assert isinstance(bart, S3Object)
        assert bart._bucket._reader is not None
        written = await write(bart, in_chunks(b"doh"), None)
        asked = (tmp_path / "asked").stat().st_size
        assert await read_all(bart) == (b"doh", written)
        assert (tmp_path / "asked").stat().st_size > asked  # within ten minutes of their end


async def test_a_session_token_is_sent(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "mmm-token")
    async with open_object(f"s3://{BUCKET}/bart", BART) as bart:
        assert await bart.stat()
    assert "x-amz-security-token: mmm-token" in endpoint.heads[0]


# Connections.


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_downloads_that_are_left_let_go_of_their_connections(seaweed: S3Server) -> None:
    options = StoreOptions("bart", Kind.BYTES, pool_size=4)
    content = noise(24 * MEBIBYTE)
    async with open_object(f"s3://{seaweed.bucket}/{uuid4().hex}", options) as bart:
        await write(bart, in_chunks(content), None)

        @asynccontextmanager
        async def begun() -> AsyncIterator[None]:
            async with bart.open() as found:
                assert found is not None
                await anext(found.chunks)
                yield

        async def hang() -> None:
            async with begun():
                await asyncio.Event().wait()

        before = _open_files()
        for _ in range(5):
            readers = [asyncio.create_task(hang()) for _ in range(10)]
            await eventually(lambda: _open_files() >= before + 9)
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            await eventually(lambda: _open_files() <= before + 4)
        found = await read_all(bart)
    assert found is not None
    assert found[0] == content


async def test_a_cancelled_read_lets_go_of_its_connection_while_its_traceback_lives(
    endpoint: Endpoint,
) -> None:
    endpoint.answer = answer(200, "doh", **{"Content-Length": "9"}, ETag='"tag"', **MODIFIED)
    options = StoreOptions("bart", Kind.BYTES, timeout=20)
    async with open_object(f"s3://{BUCKET}/bart", options) as bart:
        assert await bart.stat()
        before = _open_files()
        reading = [asyncio.create_task(read_all(bart)) for _ in range(10)]
        await eventually(lambda: len(endpoint.heads) == 11)
        await eventually(lambda: _open_files() >= before + 18)  # both ends are ours
        for reader in reading:
            reader.cancel()
        errors = await asyncio.gather(*reading, return_exceptions=True)
        await eventually(lambda: _open_files() <= before)
    assert all(isinstance(error, asyncio.CancelledError) for error in errors)


async def test_an_object_that_is_read_to_its_end_leaves_its_connection_to_the_next(
    endpoint: Endpoint,
) -> None:
    async with open_object(f"s3://{BUCKET}/bart", BART) as bart:
        await read_all(bart)
        before = _open_files()
        for _ in range(20):
            await read_all(bart)
        assert _open_files() <= before
    assert endpoint.agents == ["obstore"] * 21


async def test_reads_that_hang_hold_their_places_and_no_more(
    broken: BrokenEndpoints,
) -> None:
    options = StoreOptions("things", Kind.TEXT, timeout=3, pool_size=2)
    async with broken.open_store("s3://silent-bucket/", options) as store:
        assert isinstance(store, S3Store)
        reading = [asyncio.create_task(store.read([Name(f"n{n}")])) for n in range(6)]
        await eventually(lambda: store.pool().waiting == 4)
        assert store.pool().in_use == 2
        errors = await asyncio.gather(*reading, return_exceptions=True)
        assert store.pool().in_use == 0
    assert all(isinstance(error, Unavailable) and error.slow for error in errors)
    assert ["no free place" in str(error) for error in errors].count(True) == 4

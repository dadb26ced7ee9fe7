"""In charge of the S3 endpoints that the tests of S3 share: SeaweedFS, moto, and moto without conditions."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.process import ServerProcess, free_port
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "moto-bucket"

EndpointSetter = Callable[[str], None]


@pytest.fixture
def use_endpoint(monkeypatch: pytest.MonkeyPatch) -> EndpointSetter:
    """Hide this machine's own AWS settings; return what names the endpoint."""
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(variable, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "homer")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "doh")
    return lambda endpoint: monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)


@pytest.fixture
def use_server(
    use_endpoint: EndpointSetter, monkeypatch: pytest.MonkeyPatch
) -> Callable[[S3Server], S3Server]:
    def use(server: S3Server) -> S3Server:
        use_endpoint(server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        return server

    return use


@pytest.fixture
def seaweed(s3_server: S3Server, use_server: Callable[[S3Server], S3Server]) -> S3Server:
    return use_server(s3_server)


@pytest.fixture
def own_seaweed(own_s3_server: S3Server, use_server: Callable[[S3Server], S3Server]) -> S3Server:
    return use_server(own_s3_server)


@pytest.fixture(scope="module")
def moto_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start moto, which checks no credentials and keeps everything in memory."""
    port = free_port()
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(argv, tmp_path_factory.mktemp("moto"), port, "homer") as url:
        yield url


@pytest.fixture
def moto_client(moto_url: str) -> Iterator["S3Client"]:
    client = _client(moto_url)
    yield client
    client.close()


@pytest.fixture
def moto(moto_url: str, use_endpoint: EndpointSetter) -> str:
    use_endpoint(moto_url)
    return moto_url


@pytest.fixture(scope="module")
def forgetful_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start moto without its knowledge of conditions, as some S3 servers are (s3rver, say)."""
    port = free_port()
    argv = [sys.executable, "-c", _FORGETFUL, str(port)]
    with _running(argv, tmp_path_factory.mktemp("forgetful"), port, "homer") as url:
        yield url


@pytest.fixture
def forgetful(forgetful_url: str, use_endpoint: EndpointSetter) -> Iterator["S3Client"]:
    use_endpoint(forgetful_url)
    client = _client(forgetful_url)
    yield client
    client.close()


_FORGETFUL = """
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

moto = DomainDispatcherApplication(create_backend_app)

def forgetful(environ, start_response):
    for field in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"):
        environ.pop(field, None)
    return moto(environ, start_response)

run_simple("127.0.0.1", int(sys.argv[1]), forgetful, threaded=True)
"""


@contextmanager
def _running(argv: Sequence[str], directory: Path, port: int, key: str) -> Iterator[str]:
    """Run a server, make its bucket, give its URL."""
    url = f"http://127.0.0.1:{port}"
    process = ServerProcess(argv, directory)
    process.start()
    client = _client(url, key)

    def is_ready() -> bool:
        try:
            client.create_bucket(Bucket=BUCKET)
        except (BotoCoreError, ClientError):
            return False
        return True

    try:
        process.wait_until_ready(is_ready, 30)
        yield url
    finally:
        client.close()
        process.kill()


def _client(endpoint: str, key: str = "homer") -> "S3Client":
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=key,
    )
    return client

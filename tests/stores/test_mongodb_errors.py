"""Every failure of MongoDB says truly whether a write may have happened."""

from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WTimeoutError,
)

from springfield.errors import (
    Misconfigured,
    NameCollision,
    NotStorable,
    OutcomeUnknown,
    SpringfieldError,
    StoreError,
    Unavailable,
)
from springfield.stores.mongodb.errors import Server, Traffic

SERVER = Server("db.example:27017", 2.0)
NOTHING_SENT, LOST, ANSWERED = Traffic(0, 0), Traffic(1, 0), Traffic(1, 1)
RETRIED = Traffic(2, 1)
"""The first attempt was lost, the second one refused."""


@pytest.mark.parametrize(
    ("error", "done", "expected", "slow"),
    [
        (AutoReconnect("refused"), NOTHING_SENT, Unavailable, False),
        (NetworkTimeout("connect"), NOTHING_SENT, Unavailable, True),
        (WaitQueueTimeoutError("pool"), NOTHING_SENT, Unavailable, True),
        (ExecutionTimeout("deadline", 50), NOTHING_SENT, Unavailable, True),
        (ConfigurationError("no SRV record"), NOTHING_SENT, Unavailable, False),
        (InvalidOperation("closed"), NOTHING_SENT, Unavailable, False),
        (OperationFailure("auth", 18), NOTHING_SENT, Misconfigured, False),
        (OperationFailure("view", 166, {"codeName": "x"}), NOTHING_SENT, Misconfigured, False),
        (AutoReconnect("reset"), LOST, OutcomeUnknown, False),
        (NetworkTimeout("read"), LOST, OutcomeUnknown, True),
        (WaitQueueTimeoutError("pool, at the retry"), LOST, OutcomeUnknown, True),
        (OperationFailure("auth, at the retry", 18), LOST, OutcomeUnknown, False),
        (NotPrimaryError("", {"code": 10107}), ANSWERED, Unavailable, False),
        (NotPrimaryError("", {"code": 10107}), RETRIED, OutcomeUnknown, False),
        (NotPrimaryError("", {"code": 11602}), ANSWERED, OutcomeUnknown, False),
        (OperationFailure("unauthorized", 13), ANSWERED, Misconfigured, False),
        (ExecutionTimeout("maxTimeMS", 50), ANSWERED, OutcomeUnknown, True),
        (WTimeoutError("majority", 64), ANSWERED, OutcomeUnknown, True),
        (BulkWriteError({"writeConcernErrors": [{"code": 64}]}), ANSWERED, OutcomeUnknown, False),
    ],
)
def test_an_outcome_is_unknown_exactly_when_a_write_may_have_happened(
    error: PyMongoError, done: Traffic, expected: type[StoreError], slow: bool
) -> None:
    ours = SERVER.failure(error, done, down=False)
    assert type(ours) is expected
    assert ours.slow is slow
    assert str(ours).endswith(".")


@pytest.mark.parametrize(("down", "slow"), [(True, False), (False, True)])
def test_no_server_is_down_when_one_refuses_and_slow_when_all_are_silent(
    down: bool, slow: bool
) -> None:
    ours = SERVER.failure(ServerSelectionTimeoutError("none"), NOTHING_SENT, down=down)
    assert isinstance(ours, Unavailable)
    assert ours.slow is slow


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": 11000, "keyPattern": {"name": 1}}, NameCollision),
        ({"code": 11000}, NameCollision),
        ({"code": 11000, "keyPattern": {"email": 1}}, NotStorable),
        ({"code": 17419}, NotStorable),
        ({"code": 121}, NotStorable),
        ({"code": 50}, Unavailable),
        ({"code": 13}, Misconfigured),
        ({"code": 61}, Misconfigured),
    ],
)
def test_what_is_refused_of_a_batch_says_why(
    error: dict[str, Any], expected: type[SpringfieldError]
) -> None:
    assert type(SERVER.refused_item(error)) is expected

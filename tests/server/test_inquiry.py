"""What `check --url` makes of an admin listener's answers."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from springfield.server.admin import administering
from springfield.server.admin_client import Address
from springfield.server.inquiry import inquire
from springfield.server.listener import listening_unix
from springfield.web.admin.probes import Liveness, LivezHandler, Readiness, ReadyzHandler
from springfield.web.admin.reports import ReportHandler
from springfield.web.admin.routes import admin_application
from springfield.web.application import Route
from springfield.web.safety import Safety

ALONE = {"breakers": [{"dependency": "homers", "state": "closed"}]}
OF_MANY = {"workers": {"0": ALONE, "1": {"breakers": [{"dependency": "homers", "state": "open"}]}}}


async def told(directory: Path, breakers: object, *reasons: str) -> tuple[bool, Sequence[str]]:
    async def readiness() -> Readiness:
        return Readiness(reasons)

    async def report() -> object:
        return breakers

    routes = [
        Route("/livez", LivezHandler, {"liveness": lambda: Liveness(True, 0.0, "", [])}),  # noqa: FBT003
        Route("/readyz", ReadyzHandler, {"readiness": readiness}),
        Route("/breakers", ReportHandler, {"report": report}),
    ]
    application = admin_application(routes, Safety(loopback_only=False, read_only=False))
    with ExitStack() as stack:
        sock = stack.enter_context(listening_unix(directory / "a"))
        async with administering([sock], application):
            return await inquire(Address(f"unix:{directory}/a"))


async def test_the_state_of_every_breaker_is_told(tmp_path: Path) -> None:
    is_well, lines = await told(tmp_path, ALONE)
    assert is_well
    assert [re.sub(" +", " ", line) for line in lines] == [
        "live yes", "ready yes", "breaker homers closed"
    ]  # fmt: skip


async def test_breakers_of_workers_are_told_by_their_number(tmp_path: Path) -> None:
    _, lines = await told(tmp_path, OF_MANY)
    assert [re.sub(" +", " ", line) for line in lines[2:]] == [
        "worker 0 breaker homers closed", "worker 1 breaker homers open"
    ]  # fmt: skip


async def test_what_is_not_ready_is_not_well_and_says_why(tmp_path: Path) -> None:
    is_well, lines = await told(tmp_path, ALONE, "It is late.", "It rains.")
    assert not is_well
    assert lines[1].endswith("NO: It is late. It rains.")


async def test_other_json_is_no_admin_listener(tmp_path: Path) -> None:
    for other in (cast("object", ["?"]), {"breakers": [{}]}, {"breakers": 1}):
        is_well, lines = await told(tmp_path, other)
        assert not is_well
        assert "is no admin listener" in lines[0]

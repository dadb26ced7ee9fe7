"""In charge of `springfield check --url`: what a running service says of itself, for a shell."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from springfield.server.admin_client import Address, Reply, Unreachable, ask

TIMEOUT = 5.0
"""Seconds for each question; they are asked at the same time."""


def address_of(url: str) -> Address | None:
    """Return where `url` is, or None if it is no admin listener's."""
    try:
        return Address(url)
    except ValueError:
        return None


def check(address: Address) -> int:
    """Print what is answered at `address`; return the exit code: 0 if all is well, else 1."""
    is_well, lines = asyncio.run(inquire(address))
    print("\n".join(lines))
    return 0 if is_well else 1


async def inquire(address: Address) -> tuple[bool, Sequence[str]]:
    """Return whether all is well, and a line for each thing that was asked."""
    try:
        live, ready, breakers = await asyncio.gather(
            *(ask(address, "GET", path, seconds=TIMEOUT) for path in _QUESTIONS)
        )
    except Unreachable as error:
        return False, [str(error)]
    if {live.status, ready.status} <= {_OK, _FAILED} and breakers.status == _OK:
        try:
            lines = [_verdict("live", live), _verdict("ready", ready)]
            lines += [_line(*each) for each in _breakers("breaker", json.loads(breakers.body))]
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        else:
            return live.status == ready.status == _OK, lines
    return False, [f"What answers at {address.url} is no admin listener."]


_QUESTIONS = ("/livez", "/readyz", "/breakers")
_OK, _FAILED = 200, 503


def _verdict(name: str, reply: Reply) -> str:
    members = json.loads(reply.body)
    return _line(name, "yes" if reply.status == _OK else f"NO: {members['detail']}")


def _breakers(label: str, told: Any) -> list[tuple[str, str]]:
    if "workers" in told:  # the front of several workers
        return [
            row
            for number, each in told["workers"].items()
            for row in _breakers(f"worker {number} breaker", each)
            or [(f"worker {number}", f"NO: {each['detail']}")]
        ]
    return [(f"{label} {each['dependency']}", each["state"]) for each in told.get("breakers", ())]


def _line(name: str, state: str) -> str:
    return f"{name:<24} {state}"

"""In charge of judging what a Redis or Valkey server says of itself: INFO and CONFIG GET."""

from collections.abc import Sequence

from springfield.stores.redis.server import Reply
from springfield.stores.store import Inspection


def inspection_of(replies: Sequence[Sequence[Reply]]) -> Inspection:
    """Judge the replies of each server to INFO, CONFIG GET save and CONFIG GET appendfsync.

    A refused question costs its warnings, nothing else: managed services forbid CONFIG.
    """
    facts = [_facts(info) for info, _, _ in replies]
    warnings = [
        warning
        for fact, (_, save, fsync) in zip(facts, replies, strict=True)
        for warning in _warnings(fact, _setting(save), _setting(fsync))
    ]
    product, version = _product(facts[0])
    if facts[0].get("redis_mode") == "cluster":
        version += f", cluster of {len(replies)}"
    return Inspection(product, version, tuple(dict.fromkeys(warnings)))


def _product(facts: dict[str, str]) -> tuple[str, str]:
    if "valkey_version" in facts:
        return "Valkey", facts["valkey_version"]
    return "Redis", facts.get("redis_version", "unknown")


def _warnings(facts: dict[str, str], save: str | None, fsync: str | None) -> list[str]:
    if not facts:
        return ["INFO is forbidden to this user, so nothing was checked; allow it with +info."]
    warnings = []
    if facts.get("role") == "slave":
        warnings.append("It is a replica and refuses writes; name the primary in the store URL.")
    if facts.get("aof_enabled") == "0" and save == "":
        warnings.append("Nothing is kept on disk: a restart loses all; set appendonly yes.")
    elif facts.get("aof_enabled") == "0":
        warnings.append(
            "At best snapshots are kept: a crash loses what was written since the last one; "
            "set appendonly yes."
        )
    elif fsync != "always":
        warnings.append(
            f"appendfsync is {fsync or 'not shown to this user'}: unless it is always, a crash of "
            "the machine may lose acknowledged writes of the last seconds; set appendfsync always."
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if facts.get("maxmemory", "0") != "0" and policy != "noeviction":
        warnings.append(
            f"maxmemory-policy is {policy}: when the memory is full, items disappear; "
            "set noeviction."
        )
    return warnings


def _facts(info: Reply) -> dict[str, str]:
    if not isinstance(info, bytes):
        return {}
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def _setting(reply: Reply) -> str | None:
    if isinstance(reply, list) and len(reply) > 1:
        return bytes(reply[1]).decode(errors="replace")
    return None

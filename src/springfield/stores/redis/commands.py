"""In charge of what is asked of Redis for items: commands, scripts, and what their replies mean.

A script never changes a key of another type than string: such keys belong to somebody else.
"""

from collections.abc import Mapping, Sequence
from itertools import chain

from redis.exceptions import ResponseError

from springfield.errors import NotStorable
from springfield.model import Item
from springfield.stores.redis.server import Command, Reply, Request

Setting = tuple[bytes | int, ...]
"""What stands behind the key in SET: the content, and PX or PXAT with milliseconds."""

_LONGEST = 2**53
"""In milliseconds, 285,000 years: what a double, as in Lua, keeps exactly."""

_NEVER, _ABSENT = -1, -2  # of PEXPIRETIME

# Most items live for ever: only the others are told, as index and end in turn.
_ENDS = b"""\
local ends = {}
for index, key in ipairs(KEYS) do
  local moment = redis.call('PEXPIRETIME', key)
  if moment ~= -1 then
    ends[#ends + 1] = index
    ends[#ends + 1] = moment
  end
end
"""
_TELL_ENDS = _ENDS + b"return ends"
_TELL_ALL = _ENDS + b"return {redis.call('MGET', unpack(KEYS)), ends}"

# SET and DEL would destroy a list or a hash. With a content for each, the keys are set, with none,
# deleted; the answer is the indexes of those that hold something else than a string.
_CHANGE = b"""\
local refused = {}
for index, key in ipairs(KEYS) do
  local kind, content = redis.call('TYPE', key).ok, ARGV[index]
  local option, moment = ARGV[#KEYS + 2 * index - 1], ARGV[#KEYS + 2 * index]
  if kind ~= 'string' and kind ~= 'none' then
    refused[#refused + 1] = index
  elseif not content then
    redis.call('DEL', key)
  elseif (option or '') == '' then
    redis.call('SET', key, content)
  else
    redis.call('SET', key, content, option, moment)
  end
end
return refused
"""

# GET gives false for nothing, and fails for a list. SET without PX or PXAT ends a lifetime.
_SWAP = b"""\
if redis.call('GET', KEYS[1]) ~= (ARGV[1] == 'present' and ARGV[2]) then
  return 0
elseif ARGV[3] then
  redis.call('SET', KEYS[1], unpack(ARGV, 3))
else
  redis.call('DEL', KEYS[1])
end
return 1
"""


def get(keys: Sequence[bytes]) -> Request:
    """Ask for contents and ends of one moment; `items_in` reads the answer.

    The contents do not pass through Lua, which costs the server four times as much at 10 kB.
    """
    ends: Command = (
        (b"PEXPIRETIME", keys[0]) if len(keys) == 1 else (b"EVAL_RO", _TELL_ENDS, len(keys), *keys)
    )
    return ((b"MULTI",), (b"MGET", *keys), ends, (b"EXEC",))


def get_by_script(keys: Sequence[bytes]) -> Request:
    """Ask the same of a server whose memory is full: Redis 7.0 then refuses all of a MULTI."""
    return ((b"EVAL_RO", _TELL_ALL, len(keys), *keys),)


def items_in(keys: Sequence[bytes], reply: Reply) -> dict[bytes, Item | Exception]:
    """Return what is under the keys; an absent key is absent from the answer."""
    if isinstance(reply, Exception):
        return dict.fromkeys(keys, reply)
    values, ends = reply
    if isinstance(ends, Exception):
        return dict.fromkeys(keys, ends)
    pairs = [1, ends] if isinstance(ends, int) else ends
    moments = dict(zip(pairs[::2], pairs[1::2], strict=True))
    found: dict[bytes, Item | Exception] = {}
    for index, (key, value) in enumerate(zip(keys, values, strict=True), 1):
        moment = moments.get(index, _NEVER)
        if moment == _ABSENT:
            continue
        if value is None:  # MGET shows a list as absent
            found[key] = ResponseError("WRONGTYPE")
        else:
            found[key] = Item(value, expires_at=None if moment == _NEVER else moment / 1000)
    return found


def setting_of(item: Item) -> Setting:
    """Return how to set this item; raise NotStorable for a lifetime that Redis cannot keep."""
    if item.ttl is not None:
        option, milliseconds = b"PX", item.ttl * 1000
    elif item.ends_at is not None:
        option, milliseconds = b"PXAT", item.ends_at
    else:
        return (item.content,)
    if not 0 < milliseconds <= _LONGEST:
        raise NotStorable("Redis keeps lifetimes of 1 ms to 285,000 years; ask for another one.")
    return (item.content, option, milliseconds)


def put(settings: Mapping[bytes, Setting]) -> Request:
    """Ask to set keys; `refused_by` reads the answer."""
    contents = [setting[0] for setting in settings.values()]
    lifetimes = [setting[1:] for setting in settings.values()]
    tail = chain(*(each or (b"", b"") for each in lifetimes)) if any(lifetimes) else ()
    return ((b"EVAL", _CHANGE, len(settings), *settings, *contents, *tail),)


def delete(keys: Sequence[bytes]) -> Request:
    """Ask to delete keys; `refused_by` reads the answer."""
    return ((b"EVAL", _CHANGE, len(keys), *keys),)


def refused_by(keys: Sequence[bytes], reply: Reply) -> dict[bytes, Exception]:
    """Return why keys were neither set nor deleted."""
    if isinstance(reply, Exception):
        return dict.fromkeys(keys, reply)
    return {keys[index - 1]: ResponseError("WRONGTYPE") for index in reply}


def swap(key: bytes, expected: bytes | None, setting: Setting) -> Request:
    """Ask to set the key, or with an empty setting to delete it, if it holds what is expected.

    The answer is 1 when it did, 0 when not.
    """
    held = (b"absent", b"") if expected is None else (b"present", expected)
    return ((b"EVAL", _SWAP, 1, key, *held, *setting),)

"""In charge of JSON merge patches (RFC 7396): text into text, so that the rest stays as it is.

What a patch does not name is copied, digit by digit: 1.10, -0 and 1e2 stay what they are, and so do
the patch's own numbers. One pass over each text.
"""

import json
import re
from collections.abc import Iterator

from springfield.content import distinct_keys

_BLANKS = re.compile(r"[ \t\n\r]*")
# Values are read for where they end; unlike int, float takes any number of digits.
_VALUES = json.JSONDecoder(parse_int=float)

_Change = str | dict[str, tuple[str, "_Change"]]
"""JSON text to put in place, or members to change by key, each with the text of its key."""


def merge_patch(target: str, patch: str) -> str:
    """Return the JSON text `target` with `patch` merged into it (RFC 7396, section 2).

    Both must be JSON already. Raises InvalidContent for a key that is twice in an object of which a
    member is changed.
    """
    return _merged(_Cursor(target), _change(_Cursor(patch)))


class _Cursor:
    """A place in JSON text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip_blanks()

    def is_at_object(self) -> bool:
        return self._text[self._at] == "{"

    def take_value(self) -> str:
        """Return the text of the value that is here, and go behind it."""
        start = self._at
        _, self._at = _VALUES.raw_decode(self._text, start)
        return self._text[start : self._at]

    def members(self) -> Iterator[tuple[str, str]]:
        """Give each key of the object that is here, and its text; whoever asks takes the value."""
        self._step()
        while self._text[self._at] != "}":
            start = self._at
            key, self._at = _VALUES.raw_decode(self._text, start)
            name = self._text[start : self._at]
            self._skip_blanks()
            self._step()  # over the colon
            yield key, name
            self._skip_blanks()
            if self._text[self._at] == ",":
                self._step()
        self._at += 1

    def _step(self) -> None:
        self._at += 1
        self._skip_blanks()

    def _skip_blanks(self) -> None:
        found = _BLANKS.match(self._text, self._at)
        self._at = found.end() if found else self._at


def _change(patch: _Cursor) -> _Change:
    if not patch.is_at_object():
        return patch.take_value()
    return {key: (name, _change(patch)) for key, name in patch.members()}


def _merged(target: _Cursor, change: _Change) -> str:
    """Return the value that is here with `change` made, and go behind it."""
    if isinstance(change, str) or not target.is_at_object():
        target.take_value()
        return _made_of(change)
    keys, members = [], []
    for key, name in target.members():
        keys.append((key, None))
        if key not in change:
            members.append(f"{name}:{target.take_value()}")
        elif change[key][1] == "null":
            target.take_value()
        else:
            members.append(f"{name}:{_merged(target, change[key][1])}")
    there = distinct_keys(keys)
    members += _written({key: change[key] for key in change if key not in there})
    return f"{{{','.join(members)}}}"


def _made_of(change: _Change) -> str:
    return change if isinstance(change, str) else f"{{{','.join(_written(change))}}}"


def _written(change: dict[str, tuple[str, _Change]]) -> Iterator[str]:
    return (f"{name}:{_made_of(new)}" for name, new in change.values() if new != "null")

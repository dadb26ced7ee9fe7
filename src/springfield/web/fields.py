"""In charge of the grammar that header fields share: lists and parameters (RFC 9110, section 5.6).

Linear in the length of a field: a client that sends 60 KB of semicolons stops nobody else.
"""

import re

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Section 5.6.4; Tornado gives the bytes of a field as Latin-1.
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
# A quoted string that does not end goes on to the end of the field: nothing is tried twice.
_SEPARATORS = {
    separator: re.compile(rf'"(?:[^"\\]|\\(?:.|$))*"?|{separator}', re.DOTALL) for separator in ",;"
}
_PARAMETER = re.compile(rf"({_WORD})=({_WORD}|{_QUOTED})")
_PREFERENCE = re.compile(rf"({_WORD})(?:[ \t]*=[ \t]*({_WORD}|{_QUOTED})?)?")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}")


class Malformed(ValueError):
    """The field does not have the form that its standard gives it."""


def split(value: str, separator: str) -> list[str]:
    """Split a field at commas or semicolons, those in quoted strings aside; without empty parts."""
    parts, start = [], 0
    for found in _SEPARATORS[separator].finditer(value):
        if found[0] == separator:
            parts.append(value[start : found.start()])
            start = found.end()
    parts.append(value[start:])
    return [stripped for part in parts if (stripped := part.strip(" \t"))]


def media_type_of(value: str) -> tuple[str, dict[str, str]]:
    """Return type and parameters (RFC 9110, section 8.3.1), names in lower case; raise Malformed."""
    name, _, rest = value.partition(";")
    if not _MEDIA_TYPE.fullmatch(name.strip(" \t")):
        raise Malformed(value)
    parameters: dict[str, str] = {}
    for each in split(rest, ";"):
        found = _PARAMETER.fullmatch(each)
        if found is None or found[1].lower() in parameters:
            raise Malformed(value)
        parameters[found[1].lower()] = _unquoted(found[2])
    return name.strip(" \t").lower(), parameters


def preferences_of(value: str) -> dict[str, str]:
    """Return the values of Prefer by name (RFC 7240, section 2): the first of a name counts.

    Parameters of preferences, and what is no preference, are left out, as the section allows.
    """
    preferences: dict[str, str] = {}
    for element in split(value, ","):
        found = _PREFERENCE.fullmatch((split(element, ";") or [""])[0])
        if found is not None:
            preferences.setdefault(found[1].lower(), _unquoted(found[2] or ""))
    return preferences


def _unquoted(word: str) -> str:
    return _ESCAPED.sub(r"\1", word[1:-1]) if word.startswith('"') else word

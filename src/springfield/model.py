"""In charge of the values that every layer speaks: Name, Kind, Item. The one rule for names."""

import enum
import hashlib
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NewType

from springfield.errors import InvalidName

Name = NewType("Name", str)
"""A name that passed `parse_name`: adapters need not check it again."""

NAME_LIMIT = 512
"""The longest name, in bytes of UTF-8."""


_LAST_MILLISECOND = 2**63 - 1024
"""The last one that a double (`expires_at` is one) and a signed integer of 64 bits both can say."""


class Kind(enum.StrEnum):
    """What the items of a resource are."""

    JSON = "json"
    TEXT = "text"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Item:
    """What is stored under a name: the very bytes that a GET serves.

    The adapter may give the store's own entity tag (S3); elsewhere the tag is a hash of the
    content, so it also holds for data that other programs wrote.
    """

    content: bytes
    store_tag: str | None = None
    ttl: int | None = None
    """In a write: the seconds of life that are asked for, by the store's clock."""
    expires_at: float | None = None
    """When the item ends, in seconds since 1970 by the store's clock; None is never. In a write
    it keeps an end that was read; not together with `ttl`."""
    native: object = field(default=None, repr=False, compare=False)
    """What the adapter that read the item needs to recognise this very value; its own secret."""

    @property
    def ends_at(self) -> int | None:
        """`expires_at` in whole milliseconds, as far as 64 bits can count them."""
        if self.expires_at is None:
            return None
        return round(min(self.expires_at * 1000, _LAST_MILLISECOND))

    @property
    def entity_tag(self) -> str:
        """The strong entity tag, without quotes: equal content has equal tags."""
        return self.store_tag or entity_tag_of(self.content)

    def without_content(self) -> "Item":
        """Return what a 304 says of the item, without the memory of its content."""
        return Item(b"", store_tag=self.entity_tag, expires_at=self.expires_at)


def entity_tag_of(content: bytes) -> str:
    """Return the strong entity tag of content, without quotes (RFC 9110, section 8.8.3)."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def parse_name(raw: str) -> Name:
    """Return `raw` as a Name, or raise InvalidName with a sentence that says why.

    Nothing is normalised: case, accents, composition (NFC, NFD) and spaces are significant.
    """
    try:
        size = len(raw.encode())
    except UnicodeEncodeError:
        raise InvalidName("The name is not valid UTF-8.") from None
    if size == 0:
        raise InvalidName("The name is empty; put 1 to 512 bytes after the slash.")
    if size > NAME_LIMIT:
        raise InvalidName(f"The name has {size} bytes of UTF-8; at most {NAME_LIMIT} are allowed.")
    if not raw.isprintable():
        for position, character in enumerate(raw):
            if unicodedata.category(character) == "Cc":
                raise InvalidName(
                    f"The name has the control character U+{ord(character):04X} at position "
                    f"{position}; control characters are not allowed."
                )
    return Name(raw)


def is_legal_name(raw: str) -> bool:
    """Tell whether `raw`, which another program may have written, is a legal name."""
    try:
        parse_name(raw)
    except InvalidName:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must be true of the current item for a request to be done (RFC 9110, section 13).

    `match` are the entity tags of If-Match, compared strongly, and `none_match` those of
    If-None-Match, compared weakly; None where the field is absent, `ANY_TAG` for `*`. Tags are
    without quotes; a weak one in `match` equals nothing and is left out.
    """

    match: Collection[str] | None = None
    none_match: Collection[str] | None = None

    @property
    def is_absent(self) -> bool:
        """Whether there is nothing to check."""
        return self.match is None and self.none_match is None

    def matches(self, tag: str | None) -> bool:
        """Tell whether If-Match, if there is one, is true; `tag` None is an absent item."""
        return self.match is None or (tag is not None and _is_among(self.match, tag))

    def excludes(self, tag: str | None) -> bool:
        """Tell whether If-None-Match names the current item, so that the request is not done."""
        return tag is not None and self.none_match is not None and _is_among(self.none_match, tag)

    def allows(self, tag: str | None) -> bool:
        """Tell whether both are true, in the order of section 13.2.2."""
        return self.matches(tag) and not self.excludes(tag)


def _is_among(tags: Collection[str], tag: str) -> bool:
    return tag in tags or ANY_TAG in tags


ANY_TAG = "*"
UNCONDITIONAL = Precondition()

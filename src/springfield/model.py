"""In charge of the values that every layer speaks: Name, Kind, Item. The one rule for names."""

import enum
import hashlib
import unicodedata
from dataclasses import dataclass
from typing import NewType

from springfield.errors import InvalidName

Name = NewType("Name", str)
"""A name that passed `parse_name`: adapters need not check it again."""

NAME_LIMIT = 512
"""The longest name, in bytes of UTF-8."""


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

    @property
    def entity_tag(self) -> str:
        """The strong entity tag, without quotes: equal content has equal tags."""
        return self.store_tag or hashlib.blake2b(self.content, digest_size=16).hexdigest()


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

import pytest

from springfield.errors import InvalidName
from springfield.model import Item, is_legal_name, parse_name


@pytest.mark.parametrize("name", ["x", "n" * 512, "🍩" * 128, " ", "..", "a/b", "\u200b", "\xa0"])
def test_a_legal_name_stays_as_it_is(name: str) -> None:
    assert parse_name(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("n" * 513, "513 bytes"),
        ("🍩" * 128 + "x", "513 bytes"),
        ("a\0", r"U\+0000 at position 1"),
        ("\n", r"U\+000A"),
        ("\x7f", r"U\+007F"),
        ("a\x85", r"U\+0085"),
        ("\ud800", "UTF-8"),
    ],
)
def test_an_illegal_name_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(InvalidName, match=reason):
        parse_name(name)
    assert not is_legal_name(name)


def test_equal_content_has_equal_entity_tags_and_other_content_has_another() -> None:
    assert Item(b"doh").entity_tag == Item(b"doh").entity_tag
    assert Item(b"doh").entity_tag != Item(b"doh ").entity_tag
    assert Item(b"doh", store_tag="s3").entity_tag == "s3"

import pytest

from springfield.errors import Misconfigured
from springfield.stores.url import path_of, redact, refuse_unknown_parameters, take_parameters


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:1/0", "redis://host:1/0"),
        ("redis://:pw@host/0", "redis://:***@host/0"),
        ("mysql://user:p/w@host:1/db?table=lisa", "mysql://user:***@host:1/db?table=lisa"),
        ("mongodb://u:p@a:1,b:2/db?w=1", "mongodb://u:***@a:1,b:2/db?w=1"),
        ("mongodb://u@a/db", "mongodb://u@a/db"),
        (
            "x://h/?tlsCertificateKeyFilePassword=pw&a=1&authToken=t",
            "x://h/?tlsCertificateKeyFilePassword=***&a=1&authToken=***",
        ),
        ("plain text", "plain text"),
        ("mysql://root:s3cr?tpw@host/db", "mysql://root:***@host/db"),
        ("mongodb://u:a@b@h/db", "mongodb://u:***@h/db"),
        ("redis:root:s3cr@host", "***@host"),
        ("root:s3cr@host", "***@host"),
        (
            "mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:x",
            "mongodb://h/?authMechanismProperties=***",
        ),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_our_parameters_are_taken_out_and_the_rest_stays() -> None:
    url, ours = take_parameters("mongodb://a:1,b:2/db?w=1&collection=c%20d&x=%2F", {"collection"})
    assert url == "mongodb://a:1,b:2/db?w=1&x=%2F"
    assert ours == {"collection": "c d"}


def test_a_parameter_that_is_not_known_is_refused_by_name() -> None:
    refuse_unknown_parameters("sqlite:/x?table=a", {"table"})
    with pytest.raises(Misconfigured, match="'tabel'; known here: table"):
        refuse_unknown_parameters("sqlite:/x?tabel=a", {"table"})


def test_a_path_is_percent_decoded() -> None:
    assert path_of("file:///a%20b/c") == "/a b/c"
    assert path_of("sqlite:relative.db") == "relative.db"


@pytest.mark.parametrize("url", ["redis://[", "mysql://root:p[w]x@host/db", "redis://u:s?x@h/0"])
def test_a_url_that_cannot_be_read_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(Misconfigured, match="percent-encode"):
        refuse_unknown_parameters(url, {"table"})

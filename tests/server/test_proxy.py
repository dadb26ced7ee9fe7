"""Who is believed about the client, on both engines."""

import contextlib
import json

import pytest

from springfield.server.engines import EngineName
from springfield.server.proxy import TrustedProxies
from tests.server.serving import Setup, serving
from tests.server.test_exchange import get
from tests.server.wire import Reader

CASES = [
    ("127.0.0.0/8", ["X-Forwarded-For: 192.0.2.7"], "192.0.2.7", "http"),
    ("127.0.0.1", ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https"], "192.0.2.7", "https"),
    ("10.0.0.0/8", ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https"], "127.0.0.1", "http"),
    ("unix", ["X-Forwarded-For: 192.0.2.7"], "127.0.0.1", "http"),
    ("127.0.0.1", ["X-Forwarded-For: 6.6.6.6, 192.0.2.7"], "192.0.2.7", "http"),
    (
        "127.0.0.1, 10.0.0.0/8",
        ["X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.1.2.3"],
        "192.0.2.7",
        "http",
    ),
    ("127.0.0.1", ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.7"], "192.0.2.7", "http"),
    ("127.0.0.1, 10.0.0.0/8", ["X-Forwarded-For: 10.9.9.9, 10.1.2.3"], "10.9.9.9", "http"),
    ("127.0.0.1", ["X-Forwarded-For: unknown"], "127.0.0.1", "http"),
    ("127.0.0.1, 10.0.0.0/8", ["X-Forwarded-For: _hidden, 10.1.2.3"], "10.1.2.3", "http"),
    ("127.0.0.1", ["X-Forwarded-For: [2001:db8::1]"], "2001:db8::1", "http"),
    ("127.0.0.1", ["X-Forwarded-Proto: gopher"], "127.0.0.1", "http"),
    ("127.0.0.1", ["X-Forwarded-Proto: http, HTTPS"], "127.0.0.1", "https"),
    ("127.0.0.1", [], "127.0.0.1", "http"),
]


@pytest.mark.parametrize(("trusted", "fields", "remote_ip", "protocol"), CASES)
def test_a_proxy_is_believed_when_it_is_trusted(
    engine: EngineName, trusted: str, fields: list[str], remote_ip: str, protocol: str
) -> None:
    setup = Setup(engine, trusted=TrustedProxies.parse(trusted))
    with serving(setup) as served, contextlib.closing(served.connect()) as sock:
        reader = Reader(sock)
        sock.sendall(get("/echo", *fields))
        answer = reader.answer()
        assert answer is not None
        seen = json.loads(answer.body)
        assert (seen["remote_ip"], seen["protocol"]) == (remote_ip, protocol)
        sock.sendall(get("/echo"))
        second = reader.answer()
        assert second is not None
        assert json.loads(second.body)["remote_ip"] == "127.0.0.1", "the next request is its own"


def test_addresses_of_ipv4_in_ipv6_are_of_their_ipv4_network() -> None:
    assert TrustedProxies.parse("10.0.0.0/8").include("::ffff:10.1.2.3")


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "proxy.example"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no network"):
        TrustedProxies.parse(text)

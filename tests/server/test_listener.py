"""Unix sockets on both engines: their mode, what is in their place, and their removal."""

import contextlib
import socket
import stat
from pathlib import Path

import pytest

from springfield.server.engines import EngineName
from springfield.server.listener import CannotListen, listen_tcp, listening_unix
from springfield.server.proxy import TrustedProxies
from tests.server.serving import Setup, serving
from tests.server.test_exchange import get
from tests.server.wire import Reader


def test_requests_are_answered_on_a_unix_socket(
    tmp_path: Path, engine: EngineName, loop_name: str
) -> None:
    path = tmp_path / "springfield.sock"
    with serving(Setup(engine, loop_name, unix=path)) as served:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with contextlib.closing(served.connect()) as sock:
            sock.sendall(get("/echo"))
            answer = Reader(sock).answer()
            assert answer is not None
            assert b'"remote_ip": "0.0.0.0"' in answer.body
    assert not path.exists()


def test_a_proxy_on_a_unix_socket_is_believed_when_it_is_trusted(
    tmp_path: Path, engine: EngineName, loop_name: str
) -> None:
    trusted = TrustedProxies.parse("unix")
    setup = Setup(engine, loop_name, unix=tmp_path / "springfield.sock", trusted=trusted)
    with serving(setup) as served, contextlib.closing(served.connect()) as sock:
        sock.sendall(get("/echo", "X-Forwarded-For: 192.0.2.7"))
        answer = Reader(sock).answer()
        assert answer is not None
        assert b'"remote_ip": "192.0.2.7"' in answer.body


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(path))
    with listening_unix(path), contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect(str(path))
    assert not path.exists()


def test_a_socket_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listening_unix(path):
        with pytest.raises(CannotListen, match="Another process listens"), listening_unix(path):
            pass
        assert path.is_socket()


def test_a_socket_is_taken_over_without_a_moment_in_which_nobody_listens(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listening_unix(path) as old, listening_unix(path, takes_over=True) as new:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
            client.connect(str(path))
            with new.accept()[0], pytest.raises(BlockingIOError):
                old.accept()
        assert [each.name for each in tmp_path.iterdir()] == ["s"]
    assert not path.exists()


def test_a_file_in_the_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(CannotListen, match="is no socket"), listening_unix(path):
        pass
    assert path.read_text() == "precious"


def test_a_socket_that_took_the_place_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listening_unix(path):
        path.unlink()
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as other:
            other.bind(str(path))
    assert path.is_socket()


@pytest.mark.parametrize("name", ["missing/s", "x" * 200])
def test_a_path_that_cannot_be_bound_is_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(CannotListen, match=r"cannot be bound \(.+\)\.$"),
        listening_unix(tmp_path / name),
    ):
        pass


def test_a_port_that_is_taken_is_refused_with_a_sentence() -> None:
    (taken,) = listen_tcp("127.0.0.1", 0)
    with contextlib.closing(taken), pytest.raises(CannotListen, match="--port"):
        listen_tcp("127.0.0.1", taken.getsockname()[1])


def test_a_host_that_is_not_known_is_refused_with_a_sentence() -> None:
    with pytest.raises(CannotListen, match="--host"):
        listen_tcp("no such host.invalid", 0)

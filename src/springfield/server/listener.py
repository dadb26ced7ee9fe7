"""In charge of the sockets that are listened on: TCP addresses and unix sockets."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

BACKLOG = 1024
UNIX_MODE = 0o660
_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class CannotListen(Exception):
    """An address cannot be listened on; the sentence says what to change."""


def listen_tcp(
    host: str, port: int, flags: str = "--", *, reuse_port: bool = False
) -> list[socket.socket]:
    """Bind `port` of all addresses of `host` and listen; 0 takes a free one.

    With `reuse_port` others that wish so too may bind the same, and each gets a part of what comes.
    Raises CannotListen, which names the settings whose flags begin with `flags`.
    """
    sockets: list[socket.socket] = []
    with ExitStack() as opened:
        for family, address in _addresses(host, port, flags):
            # The same port for all addresses, also when the first one has taken a free one.
            chosen = sockets[0].getsockname()[1] if sockets else port
            try:
                sock = socket.create_server(
                    (address[0], chosen, *address[2:]),
                    family=family,
                    backlog=BACKLOG,
                    reuse_port=reuse_port,
                )
            except OSError as error:
                if sockets and error.errno in _NO_SUCH_ADDRESS:
                    continue  # localhost is ::1 too, also where IPv6 is switched off
                raise CannotListen(
                    f"Port {port} of {host} cannot be bound ({os.strerror(error.errno or 0)}); "
                    f"stop what uses it, or choose another with {flags}port."
                ) from error
            sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
            sockets.append(opened.enter_context(sock))
        opened.pop_all()
    return sockets


def _addresses(host: str, port: int, flags: str) -> list[tuple[int, tuple[Any, ...]]]:
    """Return the addresses of `host`, IPv4 first; an empty one means every interface."""
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        raise CannotListen(
            f"The host {host!r} is not known ({error}); choose another with {flags}host."
        ) from error
    return sorted({(int(family), address) for family, _, _, _, address in found})


@contextmanager
def listening_unix(path: Path, *, takes_over: bool = False) -> Iterator[socket.socket]:
    """Listen on a unix socket at `path`, for this user and group (mode 0660); raises CannotListen.

    A socket that nobody listens on any more is replaced; anything else is left alone, unless it
    `takes_over`: then it is put in the place of whatever is there, in one step. At the end the
    socket is closed and removed, unless somebody has put another one in its place.
    """
    if takes_over:
        made = path.with_name(f"{path.name}.{os.getpid()}")
        sock = _bind_unix(made)
        made.replace(path)
    else:
        _remove_stale(path)
        sock = _bind_unix(path)
    ours = _identity(path)
    try:
        yield sock
    finally:
        sock.close()
        if _identity(path) == ours:
            path.unlink(missing_ok=True)


def _bind_unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
    # The mode is narrow from the first moment on: between bind and chmod others could enter.
    before = os.umask(0o777 & ~UNIX_MODE)
    try:
        sock.bind(os.fspath(path))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotListen(
            f"The unix socket {path} cannot be bound ({error.strerror or error})."
        ) from error
    finally:
        os.umask(before)
    return sock


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise CannotListen(f"{path} exists and is no socket; move it away.")
    except FileNotFoundError:
        return
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CannotListen(f"{path} cannot be probed ({error.strerror or error}).") from error
        else:
            raise CannotListen(
                f"Another process listens on {path}; stop it, or choose another path."
            )

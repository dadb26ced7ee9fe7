"""In charge of speaking with systemd: saying what state the service is in, taking sockets from it.

Both are a few lines each on public interfaces (sd_notify(3), sd_listen_fds(3)); where the variables
are not set nothing happens. Any other service manager that sets them is served alike.
"""

import logging
import os
import socket
import time
from collections.abc import Sequence

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START."""

log = logging.getLogger("springfield.server")


class BadSocket(Exception):
    """What was handed over is no socket that can be listened on; the sentence says what it is."""


def notify(*states: str) -> None:
    """Tell the service manager of `NOTIFY_SOCKET`; a failure is logged and otherwise harmless."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in {"/", "@"}:  # a path, or a name in the abstract namespace
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1.0)
            sock.connect(address)
            sock.sendall("\n".join(states).encode())
    except OSError as error:
        log.warning("the service manager could not be told (%s): %s", error.strerror, states[0])


def notify_ready(status: str) -> None:
    """Say that requests are served, after a start as after a reload."""
    notify("READY=1", f"STATUS={status}")


def notify_reloading() -> None:
    """Say that settings are read anew; `notify_ready` ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def notify_stopping(status: str) -> None:
    """Say that the service stops."""
    notify("STOPPING=1", f"STATUS={status}")


def take_sockets() -> Sequence[tuple[str, socket.socket]]:
    """Return the sockets that were handed over to this very process, with their names, once.

    Raises BadSocket for one that does not listen.
    """
    given = {
        name: os.environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES", "PIDFDID")
    }
    if given["PID"] != str(os.getpid()) or not given["FDS"].isdecimal():
        return []
    names = given["FDNAMES"].split(":")
    taken = []
    for position in range(int(given["FDS"])):
        name = names[position] if position < len(names) else ""
        taken.append((name, _socket_at(FIRST_DESCRIPTOR + position, name)))
    return taken


def _socket_at(descriptor: int, name: str) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - the standard library's signature
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise BadSocket(
            f"Descriptor {descriptor} ({name!r}), handed over in LISTEN_FDS, is no socket "
            f"({error.strerror})."
        ) from error
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        sock.close()
        raise BadSocket(
            f"Descriptor {descriptor} ({name!r}), handed over in LISTEN_FDS, does not listen; use "
            "ListenStream= and Accept=no in the socket unit."
        )
    sock.setblocking(False)  # noqa: FBT003
    return sock

"""In charge of which sockets a service listens on: its own, or those that systemd handed over."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from springfield.server.admin import admin_sockets
from springfield.server.listener import CannotListen, listen_tcp, listening_unix
from springfield.server.systemd import BadSocket, take_sockets
from springfield.settings.table import Settings

ADMIN = "admin"
"""The name (`FileDescriptorName=`) of a handed-over socket that is for the admin listener."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """What is listened on."""

    public: Sequence[socket.socket]
    """For the routes."""
    admin: Sequence[socket.socket]
    """For the admin listener."""
    host: str
    """What the public ones are bound to; decides which names in Host are answered."""

    @property
    def place(self) -> str:
        """Where the first public one is, for people: 127.0.0.1:8000, [::1]:8000, unix:/path."""
        address = self.public[0].getsockname()
        if self.public[0].family == socket.AF_UNIX:
            return f"unix:{address}"
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{address[1]}"

    def close(self) -> None:
        """Close this process's copies."""
        for sock in (*self.public, *self.admin):
            sock.close()


@contextmanager
def listening(settings: Settings) -> Iterator[Sockets]:
    """Bind and listen, or take what was handed over; raises CannotListen.

    A handed-over public socket stands in for host and port; `unix_socket` is listened on beside it.
    """
    with ExitStack() as stack:
        try:
            given = [(name, stack.enter_context(sock)) for name, sock in take_sockets()]
        except BadSocket as error:
            raise CannotListen(str(error)) from error
        public = [sock for name, sock in given if name != ADMIN]
        host = _host_of(public[0], settings.host) if public else settings.host
        if not public:
            bound = listen_tcp(settings.host, settings.port, reuse_port=settings.reuse_port)
            public += [stack.enter_context(each) for each in bound]
        if settings.unix_socket is not None:
            public.append(stack.enter_context(listening_unix(settings.unix_socket)))
        admin = [sock for name, sock in given if name == ADMIN] + admin_sockets(settings, stack)
        yield Sockets(public, admin, host)


def _host_of(sock: socket.socket, default: str) -> str:
    is_ip = sock.family in {socket.AF_INET, socket.AF_INET6}
    return str(sock.getsockname()[0]) if is_ip else default

"""In charge of believing a proxy about its client: X-Forwarded-For and X-Forwarded-Proto.

Only proxies of configured networks are believed; anybody could send these fields. Serves both
engines, as it stands between the engine and the application.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from springfield.server.peer import UNIX

UNIX_SOCKET = "unix"


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks whose members are believed."""

    networks: Sequence[IPv4Network | IPv6Network]
    includes_unix_socket: bool = False

    @classmethod
    def parse(cls, text: str) -> "TrustedProxies":
        """Read "10.0.0.0/8, ::1, unix"; raises ValueError with a sentence."""
        members = [member.strip() for member in text.split(",") if member.strip()]
        networks = [_network(member) for member in members if member != UNIX_SOCKET]
        return cls(networks, UNIX_SOCKET in members)

    def include(self, address: str) -> bool:
        """Tell whether `address` is believed."""
        if address == UNIX:
            return self.includes_unix_socket
        if not self.networks:
            return False
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(ip, "ipv4_mapped", None)
        return any((mapped or ip) in network for network in self.networks)

    def client_of(self, address: str, forwarded: str) -> str:
        """Return the right-most address of X-Forwarded-For that is not believed itself.

        Everything left of it is what that client says. Where a member is no address, the last
        believed one is returned.
        """
        for member in reversed([address, *forwarded.split(",")][1:]):
            candidate = member.strip().strip("[]")
            try:
                ip_address(candidate)
            except ValueError:
                return address
            address = candidate
            if not self.include(address):
                return address
        return address


class BehindProxies(HTTPServerConnectionDelegate):
    """An application whose requests carry the client's address and protocol, not the proxy's."""

    def __init__(self, application: HTTPServerConnectionDelegate, trusted: TrustedProxies) -> None:
        self._application = application
        self._trusted = trusted

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """See HTTPServerConnectionDelegate."""
        delegate = self._application.start_request(server_conn, request_conn)
        connection: Any = request_conn  # `context` is no part of the public interface
        if not self._trusted.include(connection.context.remote_ip):
            return delegate
        return _Forwarded(delegate, connection.context, self._trusted)

    def on_close(self, server_conn: object) -> None:
        """See HTTPServerConnectionDelegate."""
        self._application.on_close(server_conn)


class _Forwarded(HTTPMessageDelegate):
    """A request that a trusted proxy sends."""

    def __init__(
        self, delegate: HTTPMessageDelegate, context: Any, trusted: TrustedProxies
    ) -> None:
        self._delegate = delegate
        self._context = context
        self._trusted = trusted
        self.data_received = delegate.data_received  # type: ignore[method-assign]
        self.finish = delegate.finish  # type: ignore[method-assign]
        self.on_connection_close = delegate.on_connection_close  # type: ignore[method-assign]

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        context = self._context
        proxy = (context.remote_ip, context.protocol)
        forwarded = headers.get("X-Forwarded-For")
        if forwarded is not None:
            context.remote_ip = self._trusted.client_of(context.remote_ip, forwarded)
        protocol = headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
        if protocol in {"http", "https"}:
            context.protocol = protocol
        try:
            return self._delegate.headers_received(start_line, headers)
        finally:  # Tornado has copied them into the request; the next one has its own
            context.remote_ip, context.protocol = proxy


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(
            f'{text!r} is no network; write one like 10.0.0.0/8, an address, or "unix".'
        ) from error

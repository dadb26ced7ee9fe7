"""In charge of who is at the other end of a connection.

Has the attributes that Tornado reads of a connection's `context`.
"""

import asyncio
import socket

UNIX = "0.0.0.0"  # noqa: S104 - nothing is bound; it is Tornado's word for "no IP"


class Peer:
    """The other end; a trusted proxy's word may replace it for one request (`proxy.py`)."""

    __slots__ = ("protocol", "remote_ip")

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        sock = transport.get_extra_info("socket")
        is_ip = sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}
        address = transport.get_extra_info("peername")
        self.remote_ip: str = address[0] if is_ip and address else UNIX
        self.protocol = "http" if transport.get_extra_info("ssl_object") is None else "https"

    def __str__(self) -> str:
        return self.remote_ip

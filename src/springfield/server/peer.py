"""In charge of who is at the other end of a connection.

Has the attributes that Tornado reads of a connection's `context`.
"""

import asyncio

UNIX = "0.0.0.0"  # noqa: S104 - nothing is bound; it is Tornado's word for "no IP"


class Peer:
    """The other end; a trusted proxy's word may replace it for one request (`proxy.py`)."""

    __slots__ = ("protocol", "remote_ip")

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        address = transport.get_extra_info("peername")
        # That of a unix socket is no tuple; to ask for the socket would make an object to keep.
        self.remote_ip: str = address[0] if isinstance(address, tuple) else UNIX
        self.protocol = "http" if transport.get_extra_info("ssl_object") is None else "https"

    def __str__(self) -> str:
        return self.remote_ip

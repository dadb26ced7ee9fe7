"""In charge of a TCP proxy that cuts connections at the moment that a test chooses."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Literal, Self

Cut = Literal["at once", "before", "after"]


class CuttingProxy:
    """Passes bytes on, both ways, until the client has sent `marker`.

    Then, with `cut` "before", the connection is closed without passing the marker on; with
    "after", the server gets it and the client never gets the answer. "at once" closes every new
    connection before a byte is passed. None passes everything on.
    """

    def __init__(self, host: str, port: int) -> None:
        self.cut: Cut | None = None
        self.marker = b""
        self.cuts = 0
        self._target = (host, port)
        self._clients: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Drop all connections and let none be made."""
        self._stop()
        self.drop()
        yield
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def drop(self) -> int:
        """Close the connections that are open now, as a server does; return how many were."""
        clients, self._clients = self._clients, []
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        return len(clients)

    def _stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.cut == "at once":
                self.cuts += 1
                client.close()
                continue
            self._clients.append(client)
            server = socket.create_connection(self._target)
            for work in (self._upward, self._downward):
                threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _upward(self, client: socket.socket, server: socket.socket) -> None:
        sent = b""
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                sent = (sent + data)[-200_000:]
                if self.cut and self.marker in sent:
                    self.cuts += 1
                    if self.cut == "after":
                        client.shutdown(socket.SHUT_RDWR)
                        server.sendall(data)
                        server.shutdown(socket.SHUT_WR)
                        while server.recv(65536):
                            pass
                    break
                server.sendall(data)
        self._close(client, server)

    def _downward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        if not self.cut:
            self._close(client, server)

    def _close(self, *sockets: socket.socket) -> None:
        for each in sockets:
            if each in self._clients:
                self._clients.remove(each)
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

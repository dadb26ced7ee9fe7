"""In charge of network faults: one TCP proxy that stands in front of a real server."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


class FaultyProxy:
    """Passes bytes on, both ways, until it is told a fault; `heal` ends it."""

    def __init__(self, host: str, port: int) -> None:
        self.connections = 0
        """How many were taken."""
        self.faults = 0
        """How often a connection was cut or reset."""
        self.round_trips = 0
        """How often something was asked and an answer began, on all connections."""
        self._asking: set[socket.socket] = set()
        self._target = (host, port)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, socket.socket] = {}
        self._is_clear = threading.Event()
        self.port = 0
        self.heal()

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.heal()
        self._stop_listening()
        self.drop()

    # Faults.

    def heal(self) -> None:
        """Pass everything on again; what a black hole holds back arrives late, as after lost packets."""
        self._refuses = self._is_rude = False
        self._delay = 0.0
        self._rate = 0.0
        self._resets = False
        self._cut_at: bytes | None = None
        self._is_cut_late = False
        self._is_clear.set()

    def cut(self) -> None:
        """Break all connections, and each new one at once."""
        self._refuses = self._is_rude = True
        self.faults += self.drop(reset=True)

    def cut_greetings(self) -> None:
        """Close each new connection before a byte is passed."""
        self._refuses = True

    def drop(self, *, reset: bool = False) -> int:
        """Close the connections that are open now, as a server does; return how many were."""
        with self._lock:
            pairs = list(self._open.items())
        for pair in pairs:
            self._end(*pair, reset=reset)
        return len(pairs)

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Drop all connections and let none be made."""
        self._stop_listening()
        self.drop()
        yield
        self._listen()

    def black_hole(self) -> None:
        """Take connections and bytes, and pass nothing on."""
        self._is_clear.clear()

    def delay(self, seconds: float) -> None:
        """Pass each part of an answer on so much later."""
        self._delay = seconds

    def throttle(self, rate: float) -> None:
        """Pass answers on at so many bytes a second."""
        self._rate = rate

    def reset_replies(self) -> None:
        """Pass half of what a server answers next, and reset the connection."""
        self._resets = True

    def cut_before(self, marker: bytes) -> None:
        """Cut a connection whose client sends `marker`, without passing it on."""
        self._cut_at, self._is_cut_late = marker, False

    def cut_after(self, marker: bytes) -> None:
        """Cut a connection whose client sends `marker`: the server gets it, the client no answer."""
        self._cut_at, self._is_cut_late = marker, True

    # Passing on.

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _stop_listening(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self._refuses:
                self.faults += 1
                self._end(client, reset=self._is_rude)
                client.close()
                continue
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._is_clear.wait()
        try:
            server = socket.create_connection(self._target)
        except OSError:
            self._end(client, reset=True)
            client.close()
            return
        with self._lock:
            self._open[client] = server
        answers = threading.Thread(target=self._downward, args=(client, server), daemon=True)
        answers.start()
        self._upward(client, server)
        answers.join()
        with self._lock:
            del self._open[client]
        client.close()
        server.close()

    def _upward(self, client: socket.socket, server: socket.socket) -> None:
        sent = b""
        with contextlib.suppress(OSError):
            while data := client.recv(_CHUNK):
                sent = (sent + data)[-4 * _CHUNK :]
                self._asking.add(client)
                self._is_clear.wait()
                if self._cut_at is not None and self._cut_at in sent:
                    self._cut(client, server, data)
                    break
                server.sendall(data)
        self._end(client, server)

    def _cut(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        self.faults += 1
        if self._is_cut_late:
            client.shutdown(socket.SHUT_RDWR)
            server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            while server.recv(_CHUNK):  # the server has worked it off when it closes
                pass

    def _downward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(_CHUNK):
                if client in self._asking:
                    self._asking.discard(client)
                    self.round_trips += 1
                self._is_clear.wait()
                if self._delay:
                    time.sleep(self._delay)
                if self._resets:
                    self.faults += 1
                    client.sendall(data[: len(data) // 2])
                    self._end(client, reset=True)
                    break
                for part in self._parts(data):
                    client.sendall(part)
        if self._cut_at is None:
            self._end(client, server)

    def _parts(self, data: bytes) -> Iterator[bytes]:
        if not self._rate:
            yield data
            return
        size = max(1, int(self._rate / 20))
        for start in range(0, len(data), size):
            time.sleep(size / self._rate)
            yield data[start : start + size]

    def _end(self, *sockets: socket.socket, reset: bool = False) -> None:
        """Wake who reads; the socket says goodbye now, or is reset when it is closed."""
        for each in sockets:
            with contextlib.suppress(OSError):
                if reset:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                is_reset = each.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER)
                each.shutdown(socket.SHUT_RD if is_reset else socket.SHUT_RDWR)

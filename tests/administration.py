"""In charge of speaking to an admin listener in tests."""

import contextlib
import http.client
import json
import socket
from pathlib import Path
from typing import Any

from tests.service import Answer


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Administration:
    """An admin listener at a unix socket, or at a port of this machine."""

    def __init__(self, place: Path | int) -> None:
        self.place = place

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        place = self.place
        connection: http.client.HTTPConnection
        if isinstance(place, int):
            connection = http.client.HTTPConnection("127.0.0.1", place, timeout=30)
        else:
            connection = UnixConnection(place)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, fields, answer.read())

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def json(self, path: str, method: str = "GET", body: bytes | None = None) -> Any:
        answer = self.request(method, path, body)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"] == "application/json"
        return json.loads(answer.body)

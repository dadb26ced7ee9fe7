"""In charge of standing in for the weather services of the internet, on a local socket."""

import json
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

OPEN_METEO = {
    "latitude": 30.26,
    "current_units": {"temperature_2m": "°F", "weather_code": "wmo code"},
    "current": {
        "time": "2026-11-22T10:00",
        "interval": 900,
        "temperature_2m": 51.6,
        "weather_code": 3,
    },
}
TALK = {"query": {"count": 1, "results": {"channel": {"item": {"condition": {
    "code": "26", "date": "Sun, 22 Nov 2026 04:00 AM CST", "temp": "52", "text": "Cloudy"
}}}}}}  # fmt: skip


class FakeUpstream:
    """Answers what `answer` says: a status and a body, or nothing until it is closed.

    While `gate` is clear an answer is held back.
    """

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] | None = (200, json.dumps(OPEN_METEO).encode())
        self.requests: list[str] = []
        self.headers: list[Message] = []
        self.gate = threading.Event()
        self.gate.set()
        self._closing = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.requests.append(self.path)
                fake.headers.append(self.headers)
                fake.gate.wait(30)
                if fake.answer is None:
                    fake._closing.wait(30)
                    return
                status, body = fake.answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.uri = f"http://127.0.0.1:{self._server.server_port}/weather?x=1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answers(self, document: object, status: int = 200) -> None:
        """Answer with this JSON document from now on."""
        self.answer = (status, json.dumps(document).encode())

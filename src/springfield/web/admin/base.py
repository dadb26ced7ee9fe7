"""In charge of what the admin handlers share: JSON answers, small bodies, no foreign pages."""

import json
from collections.abc import Awaitable

from springfield.web.handlers.base import Handler
from springfield.web.problems import Problem
from springfield.web.safety import refuse_foreign_page

BODY_LIMIT = 1024


class AdminHandler(Handler):
    """A handler of the admin listener."""

    body_limit = BODY_LIMIT

    def prepare(self) -> Awaitable[None] | None:
        """See Handler."""
        self._body = bytearray()
        return super().prepare()

    def check_write(self) -> None:
        """See Handler: no web page has business here, whatever the address that is listened on."""
        refuse_foreign_page(self.request)

    def take(self, chunk: bytes) -> None:
        """See Handler: collect the body."""
        self._body += chunk

    def compute_etag(self) -> None:
        """See RequestHandler: what changes all the time has no entity tag."""

    def answer(self, body: object) -> None:
        """Answer with JSON."""
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.write(json.dumps(body, indent=2).encode() + b"\n")

    def refuse(self, code: str, status: int, detail: str, **members: object) -> None:
        """Answer with a problem that has `members` of its own."""
        self.write_problem(Problem(code, status, detail, members=members))

"""In charge of the pages behind the `type` URIs of problems."""

from springfield.web.handlers.base import Handler
from springfield.web.problems import CODES, HTTPRefusal


class ProblemHandler(Handler):
    """`/problems/{code}`: what an error code means, for people."""

    def get(self, code: str) -> None:
        """Say what `code` means."""
        known = CODES.get(code)
        if known is None:
            raise HTTPRefusal("no-such-route", f"There is no problem of the code {code!a}.")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write(f"{known.title} ({known.status}, {code})\n\n{known.meaning}\n")

    head = get

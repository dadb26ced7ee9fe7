"""In charge of the greeting."""

from springfield.web.answering import entity_tag_of
from springfield.web.handlers.base import Handler

GREETING = b"Hi-dilly-ho, neighborino!"
_TAG = entity_tag_of(GREETING)


class FlandersHandler(Handler):
    """`/api/v1/flanders`."""

    def get(self) -> None:
        """Greet the neighbour."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write(GREETING)

    def compute_etag(self) -> str:
        """See RequestHandler: it is always the same."""
        return _TAG

    head = get

"""In charge of the greeting."""

from springfield.web.handlers.base import Handler


class FlandersHandler(Handler):
    """`/api/v1/flanders`."""

    def get(self) -> None:
        """Greet the neighbour."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write(b"Hi-dilly-ho, neighborino!")

    head = get

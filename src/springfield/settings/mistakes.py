"""In charge of what is raised when settings cannot be used."""

from collections.abc import Sequence


class InvalidSettings(Exception):
    """Settings that cannot be used. `mistakes` has a sentence for each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes

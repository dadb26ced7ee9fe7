"""In charge of the settings of logs, metrics and traces."""

from typing import Literal

from pydantic import Field

from springfield.settings.fields import Group


class Observing(Group):
    """What an operator sees."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severity that is logged; info has a line a request."
    )

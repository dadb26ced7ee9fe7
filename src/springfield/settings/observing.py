"""In charge of the settings of logs, metrics and traces."""

import importlib
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from springfield.settings.fields import Group, reloadable


def _exporter(is_on: bool) -> bool:
    if is_on:
        try:
            importlib.import_module("opentelemetry.sdk.trace")
            importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        except ImportError as error:
            raise ValueError(
                f"it needs the extra: pip install 'springfield[otel]' ({error})"
            ) from None
    return is_on


class Observing(Group):
    """What an operator sees."""

    log_level: Literal["debug", "info", "warning", "error"] = reloadable(
        "info", description="The least severity that is logged; info has a line a request."
    )
    tracing: Annotated[bool, AfterValidator(_exporter)] = Field(
        default=False,
        description="Export traces by OTLP/HTTP, as the OTEL_ variables say; needs the extra springfield[otel].",
    )

"""In charge of the settings of logs, metrics and traces."""

import importlib
import os
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from springfield.settings.fields import Group, Seconds, reloadable


def _exporter(is_on: bool) -> bool:
    if is_on:
        try:
            importlib.import_module("opentelemetry.sdk.trace")
            importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        except ImportError as error:
            raise ValueError(
                f"it needs the extra: pip install 'springfield[otel]' ({error})"
            ) from None
        for variable in _ENDPOINTS:  # the exporter would fail with each batch, and nothing at start
            if (endpoint := os.environ.get(variable)) and not _is_url(endpoint):
                raise ValueError(
                    f"the endpoint in {variable} is no URL; write one like http://localhost:4318"
                )
    return is_on


_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that cannot be, or brackets
        return False


class Observing(Group):
    """What an operator sees."""

    log_level: Literal["debug", "info", "warning", "error"] = reloadable(
        "info", description="The least severity that is logged; info has a line a request."
    )
    log_format: Literal["json", "console"] | None = Field(
        None,
        description="The form of log lines; console on a terminal and json elsewhere if not set.",
    )
    slow_request: Seconds = reloadable(
        1.0, description="Seconds from which on a request is logged as a warning."
    )
    blocked_loop: Seconds = Field(
        0.25,
        description="Seconds without a turn after which the event loop counts as blocked; the log has its stack.",
    )
    tracing: Annotated[bool, AfterValidator(_exporter)] = Field(
        default=False,
        description="Export traces by OTLP/HTTP, as the OTEL_ variables say; needs the extra springfield[otel].",
    )

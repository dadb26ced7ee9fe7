"""In charge of the settings of the weather's upstream."""

import importlib
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field

from springfield.settings.fields import Group, Seconds, reloadable


def _http_client(name: str) -> str:
    if name == "curl":
        try:
            importlib.import_module("pycurl")
        except ImportError as error:
            raise ValueError(
                f"it needs the extra: pip install 'springfield[curl]' ({error})"
            ) from None
    return name


class Upstream(Group):
    """Where the weather comes from."""

    weather_uri: str | None = Field(
        None,
        pattern=r"^https?://",
        validation_alias=AliasChoices("SPRINGFIELD_WEATHER_URI", "WEATHER_URI"),
        description="The upstream of maggie; Open-Meteo for the place below when it is not set.",
    )
    weather_place: str = Field("Austin, TX", description="The place that maggie names.")
    weather_latitude: float = Field(
        30.27, ge=-90, le=90, description="The place's latitude, in degrees."
    )
    weather_longitude: float = Field(
        -97.74, ge=-180, le=180, description="The place's longitude, in degrees."
    )
    weather_units: Literal["fahrenheit", "celsius"] = Field(
        "fahrenheit", description="The units to ask Open-Meteo for."
    )
    weather_timeout: Seconds = Field(5.0, description="Seconds that the upstream may take.")
    weather_lifetime: float = reloadable(
        60.0,
        ge=0,
        le=86400,
        description="Seconds that the weather is fresh; 0 asks the upstream for every request.",
    )
    weather_stale: float = reloadable(
        3600.0,
        ge=0,
        le=604800,
        description="Seconds after its lifetime in which the weather is still served when the upstream fails.",
    )
    weather_client: Annotated[Literal["simple", "curl"], AfterValidator(_http_client)] = Field(
        "simple",
        description="Tornado's HTTP client to use; curl needs the extra springfield[curl].",
    )

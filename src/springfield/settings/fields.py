"""In charge of the types that settings share: seconds, store URLs, lists of words, resources."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from springfield.errors import Misconfigured
from springfield.model import Kind
from springfield.stores import catalog
from springfield.stores.url import redact

PREFIX = "SPRINGFIELD_"


class Group(BaseSettings):
    """The settings of one subject; `Settings` inherits all groups."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        env_ignore_empty=True,
        case_sensitive=False,
    )


def reloadable(default: object, *, description: str, **bounds: Any) -> Any:
    """Return a `Field` whose new value a reload brings into force; its description says so."""
    return Field(
        default,
        description=f"{description} Reloadable.",
        json_schema_extra={"reloadable": True},
        **bounds,
    )


def is_reloadable(field: FieldInfo) -> bool:
    """Tell whether a reload brings a new value of this setting into force."""
    return isinstance(field.json_schema_extra, dict) and "reloadable" in field.json_schema_extra


def words(value: Any) -> Any:
    """Split a text at commas and blanks; anything else is left for the next validator."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


def json_table(value: Any) -> Any:
    """Parse a text as JSON; raises ValueError with a sentence for people."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not a JSON object: {error}") from None


def _judged_by(check: Callable[[str], None]) -> Callable[[str], str]:
    def judge(url: str) -> str:
        try:
            check(url)
        except Misconfigured as error:
            raise ValueError(str(error)) from None
        return url

    return judge


_item_url = _judged_by(catalog.check_item_url)
_objects_url = _judged_by(catalog.check_objects_url)

ItemUrl = Annotated[str, AfterValidator(_item_url)]
ObjectUrl = Annotated[str, AfterValidator(_judged_by(catalog.check_object_url))]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Shape(StrEnum):
    """What a resource that is streamed is."""

    OBJECT = "object"
    """One object."""
    OBJECTS = "objects"
    """Any number of objects, by name."""


class ResourceSettings(BaseModel):
    """A resource beside the shipped ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["json", "text", "bytes", "objects"]
    url: str

    @model_validator(mode="after")
    def _check_url(self) -> "ResourceSettings":
        (_objects_url if self.kind == "objects" else _item_url)(self.url)
        return self

    @property
    def shape(self) -> Kind | Shape:
        """What the resource holds."""
        return Shape.OBJECTS if self.kind == "objects" else Kind(self.kind)

    def __str__(self) -> str:
        return f"{self.kind}, {redact(self.url)}"


@dataclass(frozen=True, slots=True)
class Binding:
    """A resource and the store that it is bound to."""

    resource: str
    kind: Kind | Shape
    url: str

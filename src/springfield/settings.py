"""In charge of what an operator can set. One table parses the settings and documents them."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from springfield.errors import Misconfigured
from springfield.model import Kind
from springfield.stores import catalog

PREFIX = "SPRINGFIELD_"
RESERVED = frozenset({"flanders", "healthcheck", "maggie"})


def _item_url(url: str) -> str:
    try:
        catalog.check_item_url(url)
    except Misconfigured as error:
        raise ValueError(str(error)) from None
    return url


def _object_url(url: str) -> str:
    try:
        catalog.check_object_url(url)
    except Misconfigured as error:
        raise ValueError(str(error)) from None
    return url


def _table(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not a JSON object: {error}") from None


ItemUrl = Annotated[str, AfterValidator(_item_url)]
ObjectUrl = Annotated[str, AfterValidator(_object_url)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class ResourceSettings(BaseModel):
    """A resource beside the shipped ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    url: ItemUrl


@dataclass(frozen=True, slots=True)
class Binding:
    """A resource and the store it is bound to; `kind` is None for the single object."""

    resource: str
    kind: Kind | None
    url: str


class Settings(BaseSettings):
    """Everything that an operator can set; the descriptions are the documentation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        env_ignore_empty=True,
        case_sensitive=False,
    )

    host: str = Field(
        "127.0.0.1",
        description="The address to listen on. Behind a loopback address only loopback names are answered.",
    )
    port: int = Field(
        8000,
        ge=0,
        le=65535,
        validation_alias=AliasChoices("SPRINGFIELD_PORT", "SERVER_PORT"),
        description="The port to listen on; 0 takes a free one.",
    )
    read_only: bool = Field(
        default=False, description="Serve reads alone; every write is answered 405."
    )
    data_dir: Path = Field(
        Path("springfield-data"),
        description="The directory of the embedded default: what has no store of its own is kept here.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severity that is logged; info has a line a request."
    )
    item_limit: ByteSize = Field(
        ByteSize(1024**2),
        ge=1,
        le=64 * 1024**2,
        description="The largest item; 1MiB or 4096 for example.",
    )
    object_limit: ByteSize = Field(
        ByteSize(5 * 1024**3), ge=1, le=5 * 1024**4, description="The largest object."
    )
    store_timeout: Seconds = Field(2.0, description="Seconds that one call to a store may take.")
    health_timeout: Seconds = Field(
        1.0, description="Seconds that the healthcheck gives to each store."
    )
    shutdown_timeout: Seconds = Field(
        10.0,
        description="Seconds that requests in flight may take to finish when the service stops.",
    )
    pool_size: int = Field(16, ge=1, le=1000, description="The most connections to each store.")

    homers_url: ItemUrl | None = Field(None, description="The store of the homers (JSON).")
    lisas_url: ItemUrl | None = Field(None, description="The store of the lisas (text).")
    marges_url: ItemUrl | None = Field(None, description="The store of the marges (bytes).")
    bart_url: ObjectUrl | None = Field(
        None,
        description="The store of bart (one object): s3://bucket/key or file:///directory/name.",
    )
    resources: Annotated[dict[str, ResourceSettings], NoDecode, BeforeValidator(_table)] = Field(
        default_factory=dict,
        description="More resources: a table [resources.NAME] with kind (json, text, bytes) and url; in the environment a JSON object.",
    )

    mongodb_uri: ItemUrl | None = Field(
        None,
        validation_alias=AliasChoices("MONGODB_URI"),
        description="The talk's variable: where the homers are, in the collection homers.",
    )
    redis_host: str = Field(
        "localhost",
        validation_alias=AliasChoices("REDIS_HOST"),
        description="The talk's variable: where the marges are.",
    )
    redis_port: int = Field(
        6379,
        ge=1,
        le=65535,
        validation_alias=AliasChoices("REDIS_PORT"),
        description="The talk's variable: Redis' port.",
    )
    mysql_host: str = Field(
        "localhost",
        validation_alias=AliasChoices("MYSQL_HOST"),
        description="The talk's variable: where the lisas are, in the table lisa.",
    )
    mysql_port: int = Field(
        3306,
        ge=1,
        le=65535,
        validation_alias=AliasChoices("MYSQL_PORT"),
        description="The talk's variable: MySQL's port.",
    )
    mysql_database: str = Field(
        "springfield",
        validation_alias=AliasChoices("MYSQL_DATABASE"),
        description="The talk's variable: MySQL's database.",
    )
    mysql_user: str = Field(
        "root",
        validation_alias=AliasChoices("MYSQL_USER"),
        description="The talk's variable: MySQL's user.",
    )
    mysql_password: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("MYSQL_PASSWORD"),
        description="The talk's variable: MySQL's password.",
    )
    aws_s3_bucket: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_S3_BUCKET"),
        description="The talk's variable: the bucket of bart. Credentials, region and endpoint are boto3's own variables.",
    )
    aws_s3_object: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_S3_OBJECT"),
        description="The talk's variable: the key of bart.",
    )

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
    weather_client: Literal["simple", "curl"] = Field(
        "simple",
        description="Tornado's HTTP client to use; curl needs the extra springfield[curl].",
    )

    @model_validator(mode="after")
    def _check_together(self) -> "Settings":
        mistakes = []
        if (self.aws_s3_bucket is None) != (self.aws_s3_object is None):
            given, lacking = ("AWS_S3_BUCKET", "AWS_S3_OBJECT")[:: 1 if self.aws_s3_bucket else -1]
            mistakes.append(f"{given} is set and {lacking} is not; set both or neither")
        for name in self.resources:
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", name):
                mistakes.append(f"resources: the name {name!r} is not a lower-case word")
            elif name in RESERVED | {"homers", "lisas", "marges", "bart"}:
                mistakes.append(f"resources: the name {name!r} is taken by a shipped route")
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self

    @cached_property
    def bindings(self) -> Sequence[Binding]:
        """Every resource with the store URL that holds: its own, the talk's, or the embedded one."""
        here = quote(str(self.data_dir.absolute()))
        embedded = f"sqlite://{here}/springfield.db"
        return (
            Binding("homers", Kind.JSON, self.homers_url or self.mongodb_uri or embedded),
            Binding("lisas", Kind.TEXT, self.lisas_url or self._talk_mysql() or embedded),
            Binding("marges", Kind.BYTES, self.marges_url or self._talk_redis() or embedded),
            Binding("bart", None, self.bart_url or self._talk_s3() or f"file://{here}/bart"),
            *(Binding(name, each.kind, each.url) for name, each in self.resources.items()),
        )

    def _talk_mysql(self) -> str | None:
        if not any(name.startswith("mysql_") for name in self.model_fields_set):
            return None
        user, password, database = (
            quote(part, safe="")
            for part in (
                self.mysql_user,
                self.mysql_password.get_secret_value(),
                self.mysql_database,
            )
        )
        return f"mysql://{user}:{password}@{_bracketed(self.mysql_host)}:{self.mysql_port}/{database}?table=lisa"

    def _talk_redis(self) -> str | None:
        if self.model_fields_set.isdisjoint({"redis_host", "redis_port"}):
            return None
        return f"redis://{_bracketed(self.redis_host)}:{self.redis_port}/0"

    def _talk_s3(self) -> str | None:
        if self.aws_s3_bucket is None or self.aws_s3_object is None:
            return None
        return f"s3://{self.aws_s3_bucket}/{quote(self.aws_s3_object)}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host

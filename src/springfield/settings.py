"""In charge of what an operator can set. One table parses the settings and documents them."""

import contextlib
import importlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
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
RESERVED = frozenset({"flanders", "healthcheck", "maggie", "homers", "lisas", "marges", "bart"})


def _http_client(name: str) -> str:
    if name == "curl":
        try:
            importlib.import_module("pycurl")
        except ImportError as error:
            raise ValueError(
                f"it needs the extra: pip install 'springfield[curl]' ({error})"
            ) from None
    return name


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


def _objects_url(url: str) -> str:
    try:
        catalog.check_objects_url(url)
    except Misconfigured as error:
        raise ValueError(str(error)) from None
    return url


def _words(value: Any) -> Any:
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _table(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not a JSON object: {error}") from None


ItemUrl = Annotated[str, AfterValidator(_item_url)]
ObjectUrl = Annotated[str, AfterValidator(_object_url)]
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


@dataclass(frozen=True, slots=True)
class Binding:
    """A resource and the store that it is bound to."""

    resource: str
    kind: Kind | Shape
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
    unix_socket: Path | None = Field(
        None,
        description="A unix socket to listen on as well, for this user and group; with a certificate it speaks TLS, too.",
    )
    engine: Literal["httptools", "tornado"] = Field(
        "httptools", description="Which wire engine speaks HTTP: our own, or Tornado's HTTPServer."
    )
    tls_certificate: Path | None = Field(
        None, description="The certificate chain (PEM) to serve HTTPS with; SIGHUP reads it anew."
    )
    tls_key: Path | None = Field(None, description="The certificate's key (PEM, unencrypted).")
    trusted_proxies: str = Field(
        "",
        description="Networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, such as 10.0.0.0/8, unix.",
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
    wait_limit: int = Field(
        60, ge=0, le=3600, description="Seconds that a GET may wait for a change; 0 never waits."
    )
    wait_tick: Seconds = Field(
        1.0, description="Seconds between two looks at a store for those who wait."
    )
    require_precondition: Annotated[frozenset[str], NoDecode, BeforeValidator(_words)] = Field(
        frozenset(),
        description="Resources that take conditional writes alone, separated by commas.",
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
        description="More resources: a table [resources.NAME] with kind (json, text, bytes, objects) "
        "and url; in the environment a JSON object.",
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
    weather_client: Annotated[Literal["simple", "curl"], AfterValidator(_http_client)] = Field(
        "simple",
        description="Tornado's HTTP client to use; curl needs the extra springfield[curl].",
    )

    @cached_property
    def bindings(self) -> Sequence[Binding]:
        """Every resource with the store URL that holds: its own, the talk's, or the embedded one."""
        here = quote(str(self.data_dir.absolute()))
        embedded = f"sqlite://{here}/springfield.db"
        return (
            Binding("homers", Kind.JSON, self.homers_url or self.mongodb_uri or embedded),
            Binding("lisas", Kind.TEXT, self.lisas_url or self._talk_mysql() or embedded),
            Binding("marges", Kind.BYTES, self.marges_url or self._talk_redis() or embedded),
            Binding(
                "bart", Shape.OBJECT, self.bart_url or self._talk_s3() or f"file://{here}/bart"
            ),
            *(Binding(name, each.shape, each.url) for name, each in self.resources.items()),
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


def contradictions(values: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each mistake that only shows in several settings together.

    `values` are raw, by setting name, so that these mistakes are found beside all others.
    """
    mistakes = []
    for pair in (("AWS_S3_BUCKET", "AWS_S3_OBJECT"), ("tls_certificate", "tls_key")):
        given = [name for name in pair if values.get(name.lower())]
        if len(given) == 1:
            (lacking,) = set(pair) - set(given)
            mistakes.append(f"{given[0]} is set and {lacking} is not; set both or neither.")
    with contextlib.suppress(ValueError, TypeError):  # what it is not is a mistake of its own
        for name in dict(_table(values.get("resources") or {})):
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", name):
                mistakes.append(f"resources: the name {name!r} is not a lower-case word.")
            elif name in RESERVED:
                mistakes.append(f"resources: the name {name!r} is taken by a shipped route.")
    return mistakes

"""In charge of the settings that bind resources to stores, the talk's variables among them."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from springfield.model import Kind
from springfield.settings.fields import (
    Binding,
    Group,
    ItemUrl,
    ObjectUrl,
    ResourceSettings,
    Shape,
    json_table,
)


class Resources(Group):
    """Which resource is kept where."""

    data_dir: Path = Field(
        Path("springfield-data"),
        description="The directory of the embedded default: what has no store of its own is kept here.",
    )
    homers_url: ItemUrl | None = Field(None, description="The store of the homers (JSON).")
    lisas_url: ItemUrl | None = Field(None, description="The store of the lisas (text).")
    marges_url: ItemUrl | None = Field(None, description="The store of the marges (bytes).")
    bart_url: ObjectUrl | None = Field(
        None,
        description="The store of bart (one object): s3://bucket/key or file:///directory/name.",
    )
    resources: Annotated[dict[str, ResourceSettings], NoDecode, BeforeValidator(json_table)] = (
        Field(
            default_factory=dict,
            description="More resources: a table [resources.NAME] with kind (json, text, bytes, objects) "
            "and url; in the environment a JSON object.",
        )
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

"""In charge of where settings come from, and of saying what is wrong with them.

Precedence: flag, environment, file (TOML), default. All mistakes are reported at once.
"""

import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, ByteSize, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    TomlConfigSettingsSource,
)

from springfield.settings.fields import PREFIX
from springfield.settings.mistakes import InvalidSettings
from springfield.settings.table import Settings, contradictions
from springfield.stores.url import redact

# What Kubernetes puts into every container for a Service that is named springfield.
_SERVICE_LINK = re.compile(r"SPRINGFIELD_(SERVICE_(HOST|PORT.*)|PORT_\d+_.*)")


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table, for people."""

    name: str
    value: str
    origin: str
    default: str
    variables: Sequence[str]
    flag: str
    description: str


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, and where each came from."""

    settings: Settings
    origins: Mapping[str, str]

    def taking(self, other: "LoadedSettings", names: Collection[str]) -> "LoadedSettings":
        """Return these settings, with those called `names` taken from `other`."""
        values = {name: getattr(other.settings, name) for name in names}
        origins = {name: other.origins.get(name, "default") for name in names}
        return LoadedSettings(self.settings.model_copy(update=values), {**self.origins, **origins})

    def table(self) -> list[Setting]:
        """Return every setting with its value, secrets redacted."""
        return [
            Setting(
                name=name,
                value=shown(getattr(self.settings, name)),
                origin=self.origins.get(name, "default"),
                default=shown(field.get_default(call_default_factory=True)),
                variables=variables_of(name, field),
                flag=flag_of(name),
                description=field.description or "",
            )
            for name, field in Settings.model_fields.items()
        ]


def flag_of(name: str) -> str:
    """Return the command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def variables_of(name: str, field: FieldInfo) -> list[str]:
    """Return the environment variables of a setting, the one that wins first."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [PREFIX + name.upper()]


def load_settings(flags: Mapping[str, str], file: Path | None) -> LoadedSettings:
    """Parse flags (by setting name), environment and `file`; raise InvalidSettings."""
    sources: list[tuple[str, Mapping[str, Any]]] = []

    class Loading(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            chosen = [("flag", init_settings), ("environment", env_settings)]
            if file is not None:
                chosen.append((f"file {file}", TomlConfigSettingsSource(settings_cls, file)))
            sources.extend((origin, source()) for origin, source in chosen)
            return tuple(source for _, source in chosen)

    mistakes = _unknown_variables()
    try:
        if file is not None and not file.is_file():
            raise InvalidSettings([*mistakes, f"The settings file {file} is not there or no file."])
        settings = Loading(**flags)  # type: ignore[arg-type]
    except ValidationError as error:
        origins = _origins(sources)
        mistakes += [_sentence(each, origins) for each in error.errors()]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettings(
            [*mistakes, f"The settings file {file} is not TOML: {error}."]
        ) from None
    except OSError as error:
        raise InvalidSettings(
            [*mistakes, f"The settings file {file} cannot be read: {error.strerror}."]
        ) from None
    mistakes += contradictions(_merged(sources))
    if mistakes:
        raise InvalidSettings(mistakes)
    return LoadedSettings(settings, _origins(sources))


def _merged(sources: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    names = {
        variable: name
        for name, field in Settings.model_fields.items()
        for variable in variables_of(name, field)
    }
    merged: dict[str, Any] = {}
    for _, values in reversed(sources):
        merged |= {names.get(key, key): value for key, value in values.items()}
    return merged


def _origins(sources: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    origins: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        keys = {name, *variables_of(name, field)}
        for origin, values in sources:
            if keys & set(values):
                origins[name] = _in_full(origin, name, field)
                break
    return origins


def _in_full(origin: str, name: str, field: FieldInfo) -> str:
    if origin == "flag":
        return f"flag {flag_of(name)}"
    if origin == "environment":
        present = {variable.upper() for variable, value in os.environ.items() if value}
        return "environment " + next(v for v in variables_of(name, field) if v in present)
    return origin


def _unknown_variables() -> list[str]:
    known = {v for name, field in Settings.model_fields.items() for v in variables_of(name, field)}
    known.add(PREFIX + "CONFIG")
    return [
        f"The environment variable {variable} is no setting; `springfield settings` lists them all."
        for variable in sorted(os.environ)
        if variable.upper().startswith(PREFIX)
        and variable.upper() not in known
        and not variable.upper().startswith(PREFIX + "TEST_")
        and not _SERVICE_LINK.fullmatch(variable.upper())
    ]


def _sentence(mistake: Any, origins: Mapping[str, str]) -> str:
    names = {
        v: name for name, field in Settings.model_fields.items() for v in variables_of(name, field)
    }
    location = [names.get(str(part), str(part)) for part in mistake["loc"]]
    message = mistake["msg"].removeprefix("Value error, ").rstrip(".")
    if mistake["type"] == "extra_forbidden":
        return f"{'.'.join(location)} is no setting; `springfield settings` lists them all."
    if not location:
        return f"{message}."
    origin = origins.get(location[0])
    given = "" if _is_secret(location[0]) else f" = {mistake['input']!r}"
    return f"{'.'.join(location)}{given}{f' ({origin})' if origin else ''}: {message[:1].lower() + message[1:]}."


def _is_secret(name: str) -> bool:
    return any(word in name for word in ("password", "url", "uri", "resources"))


def shown(value: Any) -> str:  # noqa: PLR0911  # a line a type
    """Return a setting's value for people, without secrets; weather services take keys in queries."""
    match value:
        case None:
            return "-"
        case SecretStr():
            return "***" if value.get_secret_value() else "-"
        case bool():
            return str(value).lower()
        case ByteSize():
            return value.human_readable().replace(".0", "")
        case dict():
            return ", ".join(f"{name} ({each})" for name, each in value.items()) or "-"
        case frozenset():
            return ",".join(sorted(value)) or "-"
        case str() if value.startswith(("http://", "https://")):
            return redact(value.partition("?")[0]) + ("?***" if "?" in value else "")
        case _:
            return redact(str(value))

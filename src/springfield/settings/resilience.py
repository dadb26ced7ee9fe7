"""In charge of the settings of the policies that stand before each dependency."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

from springfield.resilience.policy import Limits
from springfield.settings.bounds import Bounds
from springfield.settings.fields import Seconds, json_table, reloadable

WEATHER = "weather"
"""The dependency that is no resource."""

_OF_STORES = ("store_timeout", "pool_size")

Attempts = Annotated[int, Field(ge=1, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]
Failures = Annotated[int, Field(ge=1, le=1000)]
Places = Annotated[int, Field(ge=1, le=1000)]
Queue = Annotated[int, Field(ge=0, le=100_000)]


class PolicySettings(BaseModel):
    """What differs for one dependency; each name is that of the setting for all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store_timeout: Seconds | None = None
    pool_size: Places | None = None
    call_timeout: Seconds | None = None
    attempts: Attempts | None = None
    retry_budget: Share | None = None
    breaker_failures: Failures | None = None
    breaker_cooldown: Seconds | None = None
    queue_limit: Queue | None = None
    queue_timeout: Seconds | None = None

    def __str__(self) -> str:
        given = self.model_dump(exclude_none=True)
        return " ".join(f"{name}={value:g}" for name, value in given.items())


class Resilience(Bounds):
    """How failures of a dependency are met."""

    call_timeout: Seconds | None = reloadable(
        None,
        description="Seconds that a call may take with its retries and its wait in the queue; store_timeout and queue_timeout together when it is not set.",
    )
    attempts: Attempts = reloadable(
        3, description="How often a call is tried when its failure proves that nothing was done."
    )
    retry_budget: Share = reloadable(
        0.2, description="Retries a call, at most, over all calls to a store: 0.2 allows a fifth."
    )
    breaker_failures: Failures = reloadable(
        5,
        description="Failures in a row, for a second and more, after which a store is not asked.",
    )
    breaker_cooldown: Seconds = reloadable(
        2.0, description="Seconds until a store that is not asked is tried with one call."
    )
    queue_limit: Queue = reloadable(
        1024, description="Calls that may wait for one of the connections to each store."
    )
    queue_timeout: Seconds = reloadable(5.0, description="Seconds that a call may wait for it.")
    request_timeout_limit: Seconds = reloadable(
        300.0, description="The longest deadline that a client can set with X-Request-Timeout."
    )
    policies: Annotated[dict[str, PolicySettings], NoDecode, BeforeValidator(json_table)] = (
        reloadable(
            {},
            description="What differs for one resource, or for weather: a table [policies.NAME] with any of store_timeout, pool_size, call_timeout, attempts, retry_budget, breaker_failures, breaker_cooldown, queue_limit, queue_timeout; in the environment a JSON object. store_timeout and pool_size take a restart.",
        )
    )

    def of(self, dependency: str, setting: str) -> Any:
        """Return the value of a setting of `PolicySettings` that holds for this dependency."""
        own = getattr(self.policies.get(dependency), setting, None)
        return getattr(self, setting) if own is None else own

    def limits_of(
        self,
        dependency: str,
        attempt_timeout: float | None = None,
        concurrency: int | None = None,
    ) -> Limits:
        """Return the numbers of a dependency's policy; of a store's, unless others are given."""
        attempt_timeout = attempt_timeout or self.of(dependency, "store_timeout")
        queue_timeout = self.of(dependency, "queue_timeout")
        return Limits(
            attempt_timeout=attempt_timeout,
            call_timeout=self.of(dependency, "call_timeout") or attempt_timeout + queue_timeout,
            attempts=self.of(dependency, "attempts"),
            retry_budget=self.of(dependency, "retry_budget"),
            breaker_failures=self.of(dependency, "breaker_failures"),
            breaker_cooldown=self.of(dependency, "breaker_cooldown"),
            concurrency=concurrency or self.of(dependency, "pool_size"),
            queue_limit=self.of(dependency, "queue_limit"),
            queue_timeout=queue_timeout,
        )


def policy_mistakes(
    values: Mapping[str, Any], resources: Collection[str], defaults: Mapping[str, Any]
) -> list[str]:
    """Return a sentence for each mistake in the raw settings that only shows in several together."""
    policies: dict[str, Any] = {}
    with suppress(ValueError, TypeError):  # what it is not is a mistake of its own
        policies = dict(json_table(values.get("policies") or {}))
    known = [*resources, WEATHER]
    mistakes = [
        f"policies: {name!r} is none of {', '.join(known)}."
        for name in policies
        if name not in known
    ] + [
        f"policies.{WEATHER}.{setting} is for stores; see weather_timeout."
        for setting in _OF_STORES
        if setting in _table(policies.get(WEATHER))
    ]
    for name in ["", *policies]:
        attempt = "weather_timeout" if name == WEATHER else "store_timeout"
        given = {**defaults, **values, **_table(policies.get(name))}
        with suppress(ValueError, TypeError):
            longest, one = float(given.get("call_timeout") or "inf"), float(given[attempt])
            if longest < one:
                where = f"policies.{name}." if name else ""
                mistakes.append(
                    f"{where}call_timeout = {longest:g} is less than {attempt} = {one:g}, so that "
                    "no attempt could end in time."
                )
    return mistakes


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

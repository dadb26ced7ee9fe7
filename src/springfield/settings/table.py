"""In charge of everything that an operator can set: one table parses and documents it."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from springfield.settings.administering import Administering
from springfield.settings.fields import json_table, words
from springfield.settings.observing import Observing
from springfield.settings.resilience import Resilience, policy_mistakes
from springfield.settings.resources import Resources
from springfield.settings.serving import Serving
from springfield.settings.weather import Upstream

SHIPPED = ("homers", "lisas", "marges", "bart")
RESERVED = frozenset({"flanders", "healthcheck", "maggie", *SHIPPED})


# pydantic lists the fields of the last base first.
class Settings(Upstream, Resources, Observing, Resilience, Administering, Serving):
    """Everything that an operator can set; the descriptions are the documentation."""


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
    resources = dict[str, Any]()
    with contextlib.suppress(ValueError, TypeError):  # what it is not is a mistake of its own
        resources = dict(json_table(values.get("resources") or {}))
    for name in resources:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", name):
            mistakes.append(f"resources: the name {name!r} is not a lower-case word.")
        elif name in RESERVED:
            mistakes.append(f"resources: the name {name!r} is taken by a shipped route.")
    known = [*SHIPPED, *resources]
    for setting in ("critical", "require_precondition"):
        with contextlib.suppress(ValueError, TypeError):
            mistakes += [
                f"{setting}: there is no resource {name!r}; the resources are "
                f"{', '.join(sorted(known))}."
                for name in sorted(set(words(values.get(setting) or "")) - set(known))
            ]
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    return mistakes + policy_mistakes(values, known, defaults)

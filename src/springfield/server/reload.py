"""In charge of reading the settings anew while requests are served: all that is good, or nothing.

Only the settings file and the files that settings name can have changed: flags and the environment
are those that the process was started with, and still win over the file.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from springfield.server.news import RELOADED, Say, tell_nobody
from springfield.server.tls import BadCertificate, Certificate
from springfield.settings.fields import is_reloadable
from springfield.settings.mistakes import InvalidSettings
from springfield.settings.table import Settings
from springfield.web.admin.switches import Reloaded

log = logging.getLogger("springfield.server")


class Loaded(Protocol):
    """Settings and where they came from; `configuration` makes them, and is above us."""

    @property
    def settings(self) -> Settings:
        """The values."""
        ...

    def table(self) -> Sequence[Any]:
        """Return a row for each setting (name, value, origin), secrets redacted."""
        ...

    def taking(self, other: Any, names: Collection[str]) -> "Loaded":
        """Return these settings, with those called `names` taken from `other`."""
        ...


class Reloading:
    """The settings in force, and who wants to know of new ones."""

    def __init__(
        self,
        loaded: Loaded,
        load: Callable[[], Loaded],
        certificate: Certificate | None = None,
        say: Say = tell_nobody,
    ) -> None:
        """`load` reads everything anew on some thread; it raises InvalidSettings."""
        self.loaded = loaded
        self.certificate = certificate
        self._load = load
        self._say = say
        self._takers: defaultdict[str, list[Callable[[Any], None]]] = defaultdict(list)
        self._lock = asyncio.Lock()
        self._is_open = asyncio.Event()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.loaded.settings

    @property
    def taken(self) -> Collection[str]:
        """The settings that somebody takes new values of."""
        return self._takers.keys()

    def tell(self, takers: Mapping[str, Callable[[Any], None]]) -> None:
        """Have each taker called, on the event loop, with every new value of the setting it is under.

        A taker must not raise: what could be wrong with a value is said when it is parsed.
        """
        for name, taker in takers.items():
            self._takers[name].append(taker)

    def open(self) -> None:
        """Reload from now on: whoever takes new values has been told of."""
        self._is_open.set()

    async def reload(self) -> Reloaded:
        """Read the settings and the certificate anew, and bring into force what can be."""
        await self._is_open.wait()
        async with self._lock:
            try:
                fresh = await asyncio.get_running_loop().run_in_executor(None, self._load)
                has_new_certificate = self.certificate is not None and self.certificate.reload()
            except InvalidSettings as error:
                return _refused(error.mistakes)
            except BadCertificate as error:
                return _refused([str(error)])
            return self._adopt(fresh, has_new_certificate)

    def _adopt(self, fresh: Loaded, has_new_certificate: bool) -> Reloaded:
        new = fresh.settings
        changed, fixed = differences(self.settings, new)
        self.loaded = self.loaded.taking(fresh, changed)
        for name in changed:
            for taker in self._takers[name]:
                taker(getattr(new, name))
        if has_new_certificate:
            changed.append("tls_certificate")
        needs_restart = [name for name in fixed if name not in changed]
        self._say(RELOADED)
        log.info("reloaded: changed %s", ", ".join(changed) or "nothing")
        if needs_restart:
            log.warning("reloaded: %s can only be changed by a restart", ", ".join(needs_restart))
        return Reloaded(changed, needs_restart)


def differences(old: Settings, new: Settings) -> tuple[list[str], list[str]]:
    """Return the settings whose values differ: those that are reloadable, and the others."""
    fields = Settings.model_fields.items()
    differing = {name: field for name, field in fields if getattr(old, name) != getattr(new, name)}
    changed = [name for name, field in differing.items() if is_reloadable(field)]
    return changed, [name for name in differing if name not in changed]


def _refused(mistakes: Sequence[str]) -> Reloaded:
    for mistake in mistakes:
        log.error("not reloaded, the old settings are kept: %s", mistake)
    return Reloaded(mistakes=mistakes)
